"""Slices of a brain in three planes, with outlines, painted regions or a map of values.

Volumes are in RAS+ order: the first axis grows to the participant's right, the second to the
front, the third upwards. Pictures are in neurological convention (the left of the picture is
the left of the participant) and say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflows.drawing.canvas import blank_figure, plain

CONVENTION = "Left of the picture = left of the participant (L)"
PLANES = ("sagittal", "coronal", "axial")
SIDES = {"sagittal": ("P", "A"), "coronal": ("L", "R"), "axial": ("L", "R")}
N_CUTS = 7
# Parts of the extent of the brain; None: through the regions that are marked.
ROW_CUTS = (
    *(("sagittal", 0.35), ("sagittal", 0.5), ("coronal", None), ("coronal", 0.35)),
    *(("axial", None), ("axial", 0.45), ("axial", 0.6), ("axial", 0.75)),
)
UNMARKED_CUT = 0.25
INK = "white"
MARK = "#00FF9C"
UNCOLOURED = "#3A3A3A"
HATCH = ListedColormap(["#4A4A4A", "#8C8C8C"])
HATCH_VOXELS = 2
# A PNG has 256 colours: fewer greys leave room for the others.
FEW_GREYS = colormaps["gray"].resampled(48)
MORE_OR_LESS = "PuOr_r"


@dataclass(frozen=True)
class Volume:
    """A 3-D image in RAS+ order with its voxel-to-mm affine."""

    data: np.ndarray
    affine: np.ndarray

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise ValueError(f"data: expected three axes, found shape {self.data.shape}")
        axes = self.affine[:3, :3]
        if (np.abs(axes).argmax(axis=0) != np.arange(3)).any() or (np.diag(axes) <= 0).any():
            raise ValueError("affine: the axes must run to the right, front and top (RAS+)")

    @property
    def voxel_size_mm(self) -> np.ndarray:
        """Length of a voxel along the three axes, in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


@dataclass(frozen=True)
class Outline:
    """Edge of a mask, its colour, and what it is called in the legend."""

    mask: np.ndarray
    colour: str
    label: str


@dataclass(frozen=True)
class Paint:
    """A value for each region of a label image; regions in `marked` get an edge."""

    labels: np.ndarray
    value_by_index: dict[int, float]
    unit: str
    marked: tuple[int, ...] = ()
    marked_label: str = ""

    @property
    def limit(self) -> float:
        """Largest absolute finite value, so that the colours are symmetric about zero."""
        values = np.abs([v for v in self.value_by_index.values() if np.isfinite(v)])
        return float(values.max()) if values.size and values.max() > 0 else 1.0


@dataclass(frozen=True)
class Overlay:
    """A map of values over a volume, NaN where nothing is drawn, and its colours.

    `limits` are the ends of the colours; values beyond take the colour of the end. Values
    nearer to 0 than `faint[0]` are left out, and colours are full from `faint[1]` on. Voxels
    of `missing` are hatched.
    """

    values: np.ndarray
    limits: tuple[float, float]
    unit: str
    colours: str = MORE_OR_LESS
    faint: tuple[float, float] = (0.0, 0.0)
    missing: np.ndarray | None = None
    missing_label: str = "not measured"

    @property
    def opacity(self) -> np.ndarray:
        """How much of the colour covers the brain at each voxel, 0 to .9; 0 where NaN."""
        none, full = self.faint
        size = np.nan_to_num(np.abs(self.values))
        share = (size - none) / (full - none) if full > none else (size >= none).astype(float)
        return np.where(np.isfinite(self.values), 0.9 * np.clip(share, 0, 1), 0.0)


def outlined_slices(
    volume: Volume, outlines: tuple[Outline, ...], focus: np.ndarray, title: str
) -> Figure:
    """Seven slices in each plane with outlines, cropped to where `focus` is not zero."""
    figure, axes = _mosaic(volume, focus, title)
    grey = _grey_window(volume.data, focus)
    for panel in axes:
        panel.show(volume.data, cmap="gray", norm=grey)
        for outline in outlines:
            panel.contour(outline.mask, outline.colour)
    handles = [Line2D([], [], color=o.colour, linewidth=2, label=o.label) for o in outlines]
    if handles:
        _legend(figure, *handles)
    return figure


def labelled_slices(volume: Volume, labels: np.ndarray, title: str) -> Figure:
    """Slices with each region of a label image tinted in a colour of its own."""
    figure, axes = _mosaic(volume, labels > 0, title)
    grey = _grey_window(volume.data, labels > 0)
    colours = _region_colours(int(labels.max()))
    norm = Normalize(0, colours.N - 1)
    tint = np.ma.masked_equal(labels, 0)
    for panel in axes:
        panel.show(volume.data, cmap="gray", norm=grey)
        panel.show(tint, cmap=colours, norm=norm, alpha=0.5)
    return figure


def painted_slices(volume: Volume, paint: Paint, focus: np.ndarray, title: str) -> Figure:
    """Slices of a brain with regions coloured by value: orange is more, purple is less.

    Regions without a finite value stay dark grey.
    """
    values = painted_values(paint.labels, paint.value_by_index)
    overlay = Overlay(values, (-paint.limit, paint.limit), paint.unit)
    figure, panels = _mosaic(volume, focus, title)
    grey = _grey_window(volume.data, focus)
    grey.vmax = 2.5 * grey.vmax
    _colour(panels, volume, grey, overlay)
    _colour_bar(figure, overlay)
    marked = np.isin(paint.labels, paint.marked)
    for panel in panels:
        panel.contour(marked, MARK)
    if marked.any():
        _legend(figure, Line2D([], [], color=MARK, linewidth=2, label=paint.marked_label))
    return figure


def mapped_slices(volume: Volume, overlay: Overlay, focus: np.ndarray, title: str) -> Figure:
    """Slices of a brain with a map of values in colour, and a colour bar with its unit."""
    figure, panels = _mosaic(volume, focus, title)
    grey = _grey_window(volume.data, focus)
    grey.vmax = 1.5 * grey.vmax
    _colour(panels, volume, grey, overlay)
    _colour_bar(figure, overlay)
    if overlay.missing is not None and overlay.missing.any():
        _legend(figure, Patch(facecolor=HATCH.colors[1], label=overlay.missing_label))
    return figure


def painted_rows(volume: Volume, rows: dict[str, Paint], focus: np.ndarray, title: str) -> Figure:
    """A row of slices in all three planes for each of several paintings, with one colour scale.

    Parameters
    ----------
    volume : Volume
        The brain beneath.
    rows : dict of str to Paint
        What stands above each row, and its regions with their values, all in the same unit.
    focus : (nx, ny, nz) array
        Slices are cropped to where it is not zero.
    title : str
        Written above.
    """
    _check_focus(volume, focus)
    paints = list(rows.values())
    limit = max(paint.limit for paint in paints)
    height = 0.75 + 1.55 * len(paints)
    figure = _black_figure(height, title)
    grid = figure.subplots(len(paints), len(ROW_CUTS), squeeze=False)
    low, high = 0.3 / height, 1 - 0.55 / height
    figure.subplots_adjust(0.005, low, 0.91, high, wspace=0.03, hspace=0.22)
    grey = _grey_window(volume.data, focus)
    grey.vmax = 1.5 * grey.vmax
    for line, (name, paint) in zip(grid, rows.items(), strict=True):
        marked = np.isin(paint.labels, paint.marked)
        cuts = row_cuts(focus, marked)
        panels = [_panel(axes, volume, focus, cut) for axes, cut in zip(line, cuts, strict=True)]
        values = painted_values(paint.labels, paint.value_by_index)
        overlay = Overlay(values, (-limit, limit), paint.unit)
        _colour(panels, volume, grey, overlay)
        for panel in panels:
            panel.contour(marked, MARK)
        at = figure.transFigure.inverted().transform(line[0].transAxes.transform((0, 1)))
        figure.text(0.008, at[1] + 0.03 / height, plain(name), color=INK, fontsize=9)
        _write_sides(line[-1], cuts[-1][0])
    _colour_bar(figure, Overlay(values, (-limit, limit), paints[0].unit))
    if paints[0].marked_label:
        _legend(figure, Line2D([], [], color=MARK, linewidth=2, label=paints[0].marked_label))
    return figure


def painted_values(labels: np.ndarray, value_by_index: dict[int, float]) -> np.ndarray:
    """Image of the value of the region at each voxel; NaN where there is no value."""
    lookup = np.full(int(labels.max()) + 1, np.nan)
    for index, value in value_by_index.items():
        if 0 < index < lookup.size:
            lookup[index] = value
    return lookup[labels]


def plane_of(data: np.ndarray, plane: str, index: int) -> np.ndarray:
    """Slice as rows from bottom to top and columns from left to right of the picture."""
    return np.take(data, index, axis=PLANES.index(plane)).T


def row_cuts(focus: np.ndarray, marked: np.ndarray) -> list[tuple[str, int]]:
    """Plane and index of the cuts of a row of `painted_rows`, some through what is marked."""
    cuts = []
    for plane, share in ROW_CUTS:
        axis = PLANES.index(plane)
        low, high = _extent(focus, axis)
        index = low + (UNMARKED_CUT if share is None else share) * (high - low)
        if share is None and marked.any():
            index = np.median(np.nonzero(marked)[axis])
        cuts.append((plane, int(round(index))))
    return cuts


def cut_indices(focus: np.ndarray, axis: int, n_cuts: int = N_CUTS) -> list[int]:
    """Voxel indices of cuts spread evenly over the inner 84 % of where `focus` is not zero."""
    low, high = _extent(focus, axis)
    margin = 0.08 * (high - low)
    return [int(round(x)) for x in np.linspace(low + margin, high - margin, n_cuts)]


@dataclass(frozen=True)
class _Panel:
    axes: Axes
    plane: str
    index: int
    extent_mm: tuple[float, float, float, float]

    def show(self, data: np.ndarray, **style: object) -> None:
        self.axes.imshow(
            plane_of(data, self.plane, self.index),
            origin="lower",
            extent=self.extent_mm,
            interpolation="nearest",
            **style,
        )

    def contour(self, mask: np.ndarray, colour: str) -> None:
        flat = plane_of(mask, self.plane, self.index).astype(float)
        if flat.min() >= 0.5 or flat.max() < 0.5:
            return
        left, right, bottom, top = self.extent_mm
        step_x, step_y = (right - left) / flat.shape[1], (top - bottom) / flat.shape[0]
        across = left + step_x * (np.arange(flat.shape[1]) + 0.5)
        up = bottom + step_y * (np.arange(flat.shape[0]) + 0.5)
        self.axes.contour(across, up, flat, levels=[0.5], colors=[colour], linewidths=0.9)


def _colour(panels: list[_Panel], volume: Volume, grey: Normalize, overlay: Overlay) -> None:
    norm, opacity = Normalize(*overlay.limits), overlay.opacity
    stripes = np.indices(volume.data.shape, sparse=True)
    hatch = np.ma.masked_array(
        sum(stripes) // HATCH_VOXELS % 2, mask=_nowhere(volume, overlay.missing)
    )
    for panel in panels:
        alpha = plane_of(opacity, panel.plane, panel.index)
        panel.show(volume.data, cmap=FEW_GREYS, norm=grey)
        panel.show(hatch, cmap=HATCH, norm=Normalize(0, 1))
        panel.show(np.nan_to_num(overlay.values), cmap=overlay.colours, norm=norm, alpha=alpha)


def _nowhere(volume: Volume, mask: np.ndarray | None) -> np.ndarray:
    return np.ones(volume.data.shape, dtype=bool) if mask is None else ~mask


def _colour_bar(figure: Figure, overlay: Overlay) -> None:
    figure.subplots_adjust(right=0.91)
    low, high = overlay.limits
    values = overlay.values[overlay.opacity > 0]
    below, above = bool((values < low).any()), bool((values > high).any())
    ends = {(True, True): "both", (True, False): "min", (False, True): "max"}
    scale = figure.add_axes((0.925, 0.2, 0.013, 0.6))
    bar = figure.colorbar(
        ScalarMappable(Normalize(low, high), overlay.colours),
        cax=scale,
        extend=ends.get((below, above), "neither"),
    )
    bar.set_label(plain(overlay.unit), color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)
    if overlay.faint[0] > 0:
        bar.ax.axhspan(-overlay.faint[0], overlay.faint[0], color=UNCOLOURED)


def _legend(figure: Figure, *handles: Line2D | Patch) -> None:
    style = {"frameon": False, "labelcolor": INK, "fontsize": 9}
    figure.legend(handles=handles, loc="lower right", ncols=len(handles), **style)


def _mosaic(volume: Volume, focus: np.ndarray, title: str) -> tuple[Figure, list[_Panel]]:
    _check_focus(volume, focus)
    figure = _black_figure(5.2, title)
    grid = figure.subplots(3, N_CUTS)
    figure.subplots_adjust(0.005, 0.055, 0.995, 0.935, wspace=0.03, hspace=0.03)
    panels = []
    for row, plane in enumerate(PLANES):
        for column, index in enumerate(cut_indices(focus, row)):
            panels.append(_panel(grid[row, column], volume, focus, (plane, index)))
            if column == 0:
                _write_sides(grid[row, column], plane)
    return figure, panels


def _check_focus(volume: Volume, focus: np.ndarray) -> None:
    if focus.shape != volume.data.shape:
        raise ValueError(f"focus: shape {focus.shape} is not that of the image")
    if not focus.any():
        raise ValueError("focus: is empty, there is nothing to draw")


def _black_figure(height_in: float, title: str) -> Figure:
    figure = blank_figure(11, height_in, background="black")
    figure.suptitle(plain(title), color=INK, fontsize=11, y=1 - 0.078 / height_in)
    figure.text(0.01, 0.0624 / height_in, CONVENTION, color=INK, fontsize=9)
    return figure


def _panel(axes: Axes, volume: Volume, focus: np.ndarray, cut: tuple[str, int]) -> _Panel:
    plane, index = cut
    across, up = (axis for axis in range(3) if axis != PLANES.index(plane))
    size = volume.voxel_size_mm
    extent = (
        0.0,
        float(volume.data.shape[across] * size[across]),
        0.0,
        float(volume.data.shape[up] * size[up]),
    )
    (x_low, x_high), (y_low, y_high) = _extent(focus, across), _extent(focus, up)
    axes.set_facecolor("black")
    axes.set_axis_off()
    axes.text(0.98, 0.01, _millimetres(volume, cut), color=INK, fontsize=7, **_corner(axes))
    panel = _Panel(axes, plane, index, extent)
    axes.set_autoscale_on(False)
    axes.set_aspect("equal")
    axes.set_xlim((x_low - 2) * size[across], (x_high + 3) * size[across])
    axes.set_ylim((y_low - 2) * size[up], (y_high + 3) * size[up])
    return panel


def _corner(axes: Axes) -> dict[str, object]:
    return {"transform": axes.transAxes, "ha": "right", "va": "bottom"}


def _millimetres(volume: Volume, cut: tuple[str, int]) -> str:
    axis = PLANES.index(cut[0])
    voxel = (np.asarray(volume.data.shape) - 1) / 2
    voxel[axis] = cut[1]
    place = volume.affine[:3, :3] @ voxel + volume.affine[:3, 3]
    return f"{'xyz'[axis]} = {place[axis]:.0f}"


def _write_sides(axes: Axes, plane: str) -> None:
    for letter, x, align in zip(SIDES[plane], (0.01, 0.99), ("left", "right"), strict=True):
        axes.text(
            x, 0.5, letter, color=INK, fontsize=9, ha=align, va="center", transform=axes.transAxes
        )


def _extent(focus: np.ndarray, axis: int) -> tuple[int, int]:
    others = tuple(a for a in range(3) if a != axis)
    inside = np.flatnonzero((focus != 0).any(axis=others))
    return int(inside[0]), int(inside[-1])


def _grey_window(data: np.ndarray, focus: np.ndarray) -> Normalize:
    values = data[(focus != 0) & np.isfinite(data)]
    low, high = np.percentile(values, [1, 99.5]) if values.size else (0.0, 1.0)
    return Normalize(min(low, 0.0), high if high > min(low, 0.0) else min(low, 0.0) + 1, clip=True)


def _region_colours(n_regions: int) -> ListedColormap:
    hues = (np.arange(n_regions + 1) * 0.618034) % 1.0
    red, green, blue = (0.5 + 0.5 * np.cos(2 * np.pi * (hues + s)) for s in (0, 1 / 3, 2 / 3))
    return ListedColormap(np.column_stack([red, green, blue]))
