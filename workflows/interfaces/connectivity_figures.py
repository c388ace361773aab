"""Nodes that draw the connectivity of a participant: a matrix, seeds, and what changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nilearn import datasets
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import read_table
from bids_utils.sidecars import read_json
from configs.circuits import chosen_circuits
from workflows.compute.region_order import grouped_regions
from workflows.compute.region_places import largest_edges, region_centres
from workflows.drawing.canvas import save_png
from workflows.drawing.matrices import connections_on_brain, region_matrix
from workflows.drawing.slices import Paint, painted_rows
from workflows.interfaces.change_figures import drawn_later
from workflows.interfaces.figures import (
    MARGIN_MM,
    FigureOutputSpec,
    faceless,
    read_labels,
    read_volume,
    volume_of,
)

N_EDGES = 15
MOST_NAMED = 2
BRAIN_MM = 2
UNIT = "Fisher z"


class _ConnectivityFigureInputSpec(BaseInterfaceInputSpec):
    relmat_file = File(exists=True, mandatory=True, desc="matrix of Fisher z")
    atlas_labels_file = File(exists=True, desc="table: name, network; without it no networks")


class ConnectivityFigure(SimpleInterface):
    """Matrix of connectivity between all regions, sorted by network."""

    input_spec = _ConnectivityFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        matrix = read_matrix(self.inputs.relmat_file)
        figure = sorted_matrix(matrix, regions_of(self.inputs), UNIT)
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "connectivity.png"))
        return runtime


class _SeedFigureInputSpec(BaseInterfaceInputSpec):
    relmat_file = File(exists=True, mandatory=True, desc="matrix of Fisher z")
    boldref_file = File(exists=True, mandatory=True, desc="BOLD reference")
    bold_dseg_file = File(exists=True, mandatory=True, desc="tissues on the BOLD grid")
    bold_atlas_file = File(exists=True, mandatory=True, desc="labels on the BOLD grid")
    atlas_labels_file = File(exists=True, mandatory=True, desc="table: index, name")
    atlas = traits.Str(mandatory=True, desc="name of the atlas, which decides the circuits")
    circuits = traits.Either(
        None, traits.List(traits.Str), usedefault=True, desc="names, or all the atlas has"
    )


class SeedFigure(SimpleInterface):
    """Connectivity of the seeds of the circuits, painted on the regions of the BOLD reference."""

    input_spec = _SeedFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        inputs = self.inputs
        labels = read_labels(inputs.bold_atlas_file)
        matrix, index = read_matrix(inputs.relmat_file), region_index(inputs.atlas_labels_file)
        names = None if inputs.circuits is None else tuple(inputs.circuits)
        circuits = chosen_circuits(names, inputs.atlas, matrix.columns)
        rows = seed_paints(seed_rows(matrix, circuits), index, labels)
        volume = faceless(inputs.boldref_file, read_labels(inputs.bold_dseg_file) > 0, MARGIN_MM)
        figure = painted_rows(volume, rows, labels > 0, "Connectivity of the seeds of circuits")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "seeds.png"))
        return runtime


class _ConnectivityChangeInputSpec(BaseInterfaceInputSpec):
    relmat_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="matrix of Fisher z of each session, in time order"
    )
    session_labels = traits.List(traits.Str, mandatory=True, desc="session of each matrix")
    atlas_file = File(exists=True, mandatory=True, desc="labels in the space of the MNI brain")
    atlas_labels_file = File(exists=True, mandatory=True, desc="table: index, name, network")


class _ConnectivityChangeOutputSpec(TraitedSpec):
    matrix_files = OutputMultiPath(File(), desc="matrix of change of each session but the first")
    brain_files = OutputMultiPath(File(), desc="largest changes of each session but the first")


class ConnectivityChangeFigures(SimpleInterface):
    """Change of connectivity of each later session against the first; none for one session."""

    input_spec = _ConnectivityChangeInputSpec
    output_spec = _ConnectivityChangeOutputSpec

    def _run_interface(self, runtime):
        inputs, folder = self.inputs, Path(runtime.cwd)
        files = inputs.relmat_files
        self._results["matrix_files"] = drawn_later(inputs, files, draw_change_matrix, folder)
        self._results["brain_files"] = drawn_later(inputs, files, draw_change_on_brain, folder)
        return runtime


def read_matrix(path: str) -> pd.DataFrame:
    """Square table of Fisher z, named on both sides.

    A region without coverage stays as a row and a column without values.
    """
    table = read_table(Path(path))
    names = [str(name) for name in table.columns]
    return pd.DataFrame(table.to_numpy(dtype=float), index=names, columns=names)


def region_table(path: str) -> pd.DataFrame:
    """Regions of an atlas by name."""
    table = read_table(Path(path), text_columns=("name", "hemisphere", "structure", "network"))
    return table.set_index("name")


def region_index(path: str) -> dict[str, int]:
    """Value of each region in the image of the atlas."""
    return region_table(path)["index"].astype(int).to_dict()


def regions_of(inputs: TraitedSpec) -> pd.DataFrame:
    """Table of the regions, empty if it was not given."""
    known = isdefined(inputs.atlas_labels_file)
    return region_table(inputs.atlas_labels_file) if known else pd.DataFrame()


def sorted_matrix(matrix: pd.DataFrame, regions: pd.DataFrame, unit: str, title: str = ""):
    """Figure of a matrix with its regions sorted by network."""
    rows, groups = grouped_regions(regions.reindex(matrix.columns))
    ordered = matrix.iloc[rows, rows]
    named = groups if len(set(groups)) > 1 else None
    return region_matrix(ordered.to_numpy(), list(ordered.columns), unit, named, title)


def seed_rows(
    matrix: pd.DataFrame, circuits: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> dict[str, tuple[tuple[str, ...], pd.Series]]:
    """Title, seed and mean Fisher z of its regions with each other region, one row a seed.

    Circuits with the same sources share a row. Without circuits there is one row without a
    seed, the mean with all other regions.
    """
    own = matrix.mask(np.eye(len(matrix), dtype=bool))
    if not circuits:
        return {"Mean with all other regions": ((), own.mean())}
    of_seed: dict[tuple[str, ...], list[str]] = {}
    for name, (sources, _) in circuits.items():
        of_seed.setdefault(sources, []).append(name)
    return {
        f"{_seed_name(seed)}: {', '.join(names)}": (
            seed,
            own.loc[list(seed)].mean().drop(list(seed)),
        )
        for seed, names in of_seed.items()
    }


def _seed_name(seed):
    more = len(seed) - MOST_NAMED
    return ", ".join(seed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def seed_paints(
    rows: dict[str, tuple[tuple[str, ...], pd.Series]], index: dict[str, int], labels: np.ndarray
) -> dict[str, Paint]:
    """What is painted in each row: values on the regions, and an edge around the seed."""
    paints = {}
    for title, (seed, values) in rows.items():
        painted = {index[name]: float(value) for name, value in values.items()}
        marked = tuple(index[name] for name in seed)
        paints[title] = Paint(labels, painted, f"mean {UNIT}", marked, "seed" if seed else "")
    return paints


def draw_change_matrix(inputs, sessions, folder):
    """Matrix of the change from the first to the second of two (label, file)."""
    (before, _), (after, _) = sessions
    change, error = change_of(sessions)
    title = f"ses-{before} to ses-{after}"
    if np.isfinite(error):
        title += f": noise alone makes at least ±{1.96 * error:.2f} in one edge of twenty"
    figure = sorted_matrix(change, regions_of(inputs), f"change of {UNIT}", title)
    return save_png(figure, folder / f"connectivity_{after}.png")


def draw_change_on_brain(inputs, sessions, folder):
    """Largest changes from the first to the second of two (label, file) on the MNI brain."""
    (_, _), (after, _) = sessions
    change, _ = change_of(sessions)
    index, atlas = region_index(inputs.atlas_labels_file), read_volume(inputs.atlas_file)
    numbers = [index[name] for name in change.columns]
    places = region_centres(np.rint(atlas.data).astype(int), atlas.affine, numbers)
    placed = np.isfinite(places).all(axis=1)
    edges = largest_edges(np.where(placed[:, None] & placed, change.to_numpy(), np.nan), N_EDGES)
    mask = volume_of(datasets.load_mni152_brain_mask(resolution=BRAIN_MM))
    brain = (mask.data > 0, mask.affine)
    figure = connections_on_brain(edges, places, brain, f"change of {UNIT}")
    return save_png(figure, folder / f"connectome_{after}.png")


def change_of(sessions):
    """Change of Fisher z between two (label, file), and the least standard error of an edge.

    The error is that of two independent correlations with the degrees of freedom that the
    files beside the matrices give; NaN where they do not.
    """
    matrices = [read_matrix(file) for _, file in sessions]
    freedom = [_degrees_of_freedom(Path(file)) for _, file in sessions]
    first, later = matrices
    error = np.sqrt(sum(1 / (df - 2) if df > 2 else np.nan for df in freedom))
    return later.loc[first.index, first.columns] - first, float(error)


def _degrees_of_freedom(relmat_file):
    path = relmat_file.with_suffix(".json")
    known = read_json(path).get("DegreesOfFreedom") if path.is_file() else None
    return float(known) if isinstance(known, int | float) else np.nan
