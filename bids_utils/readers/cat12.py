"""Regional volumes and thickness of CAT12: XML files of each scan, or exported tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.readers.long_table import long_table, one_value
from bids_utils.readers.plain_xml import read_xml
from bids_utils.readers.records import (
    SOFTWARE_COLUMNS,
    Block,
    MeasureSource,
    Scan,
    SourceProblem,
    SourceRequest,
    nothing_read,
    problem_of,
    scan_text,
)
from bids_utils.readers.scan_names import name_problem, scan_name
from bids_utils.readers.separated import number_columns, read_separated

MEASURES = {
    "Vgm": ("volume", "ml"),
    "Vwm": ("wm_volume", "ml"),
    "Vcsf": ("csf_volume", "ml"),
    "thickness": ("thickness", "mm"),
    "area": ("area", "mm2"),
}
"""Measures and units by their names in CAT12; others keep their name, without unit."""

REPORT = "cat_"
KINDS = ("catROIs_", "catROI_", REPORT)
TEMPLATE = "avg_"
LONGITUDINAL = "r"
TISSUES = ("csf", "gm", "wm")
"""Order of the numbers in vol_abs_CGW (ml)."""

RATINGS = ("IQR", "SIQR", "NCR", "ICR")
WANTED = (
    "expected label/catROI_*.xml, report/cat_*.xml, or an exported *_catROI_ATLAS_MEASURE.csv "
    "of CAT12"
)
CAT_REPEAT = "run this step of CAT12 again"


@dataclass(frozen=True)
class _Piece:
    """What one file tells about one scan, or why it tells nothing."""

    scan: Scan | None = None
    stream: str = ""
    version: str = ""
    blocks: tuple[Block, ...] = ()
    problem: SourceProblem | None = None


def read_cat12(path: Path, request: SourceRequest, name: str = "cat12") -> MeasureSource:
    """Volumes (ml), thickness (mm), whole-brain volumes (ml) and quality ratings of CAT12.

    `catROI_*.xml` and `catROIs_*.xml` hold the regions, `cat_*.xml` the report with
    intracranial volume and ratings (marks: 1 is best). Where there are none, tables that CAT12
    exported (`*_catROI_ATLAS_MEASURE.csv`) are read.

    Parameters
    ----------
    path : Path
        Folder of the results, or one exported table.
    request : SourceRequest
        What is wanted, and names of files that do not say whose they are.
    name : str
        Name of the source.

    Raises
    ------
    DatasetError
        Nothing can be read.
    """
    pieces = list(_xml_pieces(path, request))
    if not any(block.atlas for piece in pieces for block in piece.blocks):
        pieces += [piece for file in _exported(path) for piece in _table_pieces(file, request)]
    blocks = [block for piece in pieces for block in piece.blocks]
    problems = [piece.problem for piece in pieces if piece.problem]
    if not blocks:
        raise nothing_read(path, WANTED, problems)
    scans: dict[Scan, tuple[str, str]] = {}
    for piece in pieces:
        if piece.scan:
            version, stream = scans.get(piece.scan, ("", ""))
            scans[piece.scan] = (version or piece.version, stream or piece.stream)
    table, odd = long_table(blocks, scans, request, path)
    rows = [(*scan, "CAT12", *facts) for scan, facts in scans.items()]
    software = pd.DataFrame(rows, columns=SOFTWARE_COLUMNS, dtype=object)
    found = (*problems, *_mixed_versions(software, path), *odd)
    return MeasureSource(name, path, table, (), found, software)


def _xml_pieces(path: Path, request: SourceRequest) -> Iterator[_Piece]:
    """XML files of one stream: longitudinal ones where there are any."""
    files = [] if path.is_file() else [(file, *_parts(file)) for file in path.rglob("cat*.xml")]
    files = sorted(item for item in files if item[1] and not item[2].startswith(TEMPLATE))
    long = any(_is_long(rest, request) for _, _, rest in files)
    stream = request.stream or ("longitudinal" if long else "cross")
    others = [file for file, _, rest in files if _stream(rest, request) != stream]
    if others:
        what = f"{len(others)} files of the other stream are left out, only {stream} ones are used"
        advice = "they are not comparable with each other"
        yield _Piece(problem=SourceProblem(what, str(others[0]), advice))
    seen: dict[tuple[str, Scan], Path] = {}
    for file, kind, rest in files:
        if _stream(rest, request) != stream:
            continue
        scan, problem = _placed(file, rest, request)
        if problem:
            yield _Piece(problem=problem)
        if scan and seen.setdefault((kind, scan), file) != file:
            what = f"a second file of {scan_text(scan)}; {seen[kind, scan].name} is used"
            yield _Piece(problem=SourceProblem(what, str(file), "move one of them away"))
        elif scan:
            yield _xml_piece(file, kind, scan, stream)


def _xml_piece(file: Path, kind: str, scan: Scan, stream: str) -> _Piece:
    try:
        root = read_xml(file)
        if kind == REPORT:
            return _Piece(scan, stream, _version(root), tuple(_report(file, root, scan)))
        return _Piece(scan, stream, "", tuple(_regions(file, root, scan)))
    except DatasetError as error:
        return _Piece(scan, problem=problem_of(error))


def _placed(
    file: Path, rest: str, request: SourceRequest
) -> tuple[Scan | None, SourceProblem | None]:
    name = scan_name(rest[len(LONGITUDINAL) :] if _is_long(rest, request) else rest, request)
    problem = name_problem(file, name)
    if name is None or not name.session:
        return None, problem
    if not request.wants_scan(name.participant, name.session):
        return None, None
    return (name.participant, name.session, "T1w"), problem


def _parts(file: Path) -> tuple[str, str]:
    kind = next((kind for kind in KINDS if file.name.startswith(kind)), "")
    return kind, file.stem.removeprefix(kind)


def _is_long(rest: str, request: SourceRequest) -> bool:
    return rest not in request.scans and rest.startswith(f"{LONGITUDINAL}sub-")


def _stream(rest: str, request: SourceRequest) -> str:
    if rest in request.scans and request.stream:
        return request.stream
    return "longitudinal" if _is_long(rest, request) else "cross"


def _regions(file: Path, root: Element, scan: Scan) -> Iterator[Block]:
    """Blocks of a catROI file: an element per atlas with `names` (or `ids`) and `data`."""
    empty = True
    for atlas in root:
        data = atlas.find("data")
        if data is None or not len(data):
            continue
        names = [(item.text or "").strip() for item in atlas.findall("names/item")]
        names = names or _words(atlas.findtext("ids"))
        if len(set(names)) < len(names):
            raise DatasetError(f"{file}: {atlas.tag} names a region twice; {CAT_REPEAT}")
        for column in data:
            values = _values(file, column)
            if len(values) != len(names):
                raise DatasetError(
                    f"{file}: {atlas.tag} has {len(names)} regions but {len(values)} values of "
                    f"{column.tag}; {CAT_REPEAT}"
                )
            measure, unit = MEASURES.get(column.tag, (column.tag, ""))
            empty = False
            yield Block(scan, measure, unit, atlas.tag, tuple(names), values)
    if empty:
        raise DatasetError(f"{file}: there is no atlas with data; {CAT_REPEAT}")


def _report(file: Path, root: Element, scan: Scan) -> Iterator[Block]:
    """Blocks of a report: volumes of tissues, intracranial volume, ratings."""
    total = _first_number(root, "vol_TIV")
    tissue = next((n for n in map(_numbers, root.iter("vol_abs_CGW")) if len(n) >= len(TISSUES)),
                  np.array([]))  # fmt: skip
    if total is None and not tissue.size:
        raise DatasetError(f"{file}: there is neither vol_TIV nor vol_abs_CGW; {CAT_REPEAT}")
    volumes = dict(zip(TISSUES, tissue, strict=False))
    volumes["icv"] = tissue.sum() if total is None else total
    names = tuple(volumes)
    values = np.array(list(volumes.values()), dtype=float)
    yield Block(scan, "tissue_volume", "ml", "", names, values)
    for rating in RATINGS:
        value = next(
            (n for node in root.iter("qualityratings") if (n := _first_number(node, rating))), None
        )
        if value is not None:
            yield one_value(scan, f"cat12_{rating.lower()}", "mark", "", value)


def _first_number(root: Element, tag: str) -> float | None:
    """First number under this tag; reports also hold texts that explain it."""
    found = (numbers[0] for node in root.iter(tag) if len(numbers := _numbers(node)) == 1)
    return next((float(number) for number in found), None)


def _numbers(node: Element) -> np.ndarray:
    try:
        return np.array([float(word) for word in _words(node.text)])
    except ValueError:
        return np.array([])


def _values(file: Path, node: Element) -> np.ndarray:
    try:
        return np.array([float(word) for word in _words(node.text)])
    except ValueError as error:
        raise DatasetError(
            f"{file}: {node.tag} holds something that is not a number ({error}); {CAT_REPEAT}"
        ) from error


def _words(text: str | None) -> list[str]:
    """Items of a MATLAB vector, such as [1.5;2;NaN] or [1 2 3]."""
    plain = (text or "").strip().strip("[]")
    for mark in ";,":
        plain = plain.replace(mark, " ")
    return plain.split()


def _version(root: Element) -> str:
    software = root.find("software")
    if software is None:
        return ""
    parts = [software.findtext(tag) or "" for tag in ("version_cat", "revision_cat")]
    return " r".join(part.strip() for part in parts if part.strip())


def _exported(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = (file for end in ("csv", "tsv", "txt") for file in sorted(path.rglob(f"*.{end}")))
    return [file for file in files if any(kind in file.stem for kind in KINDS[:2])]


def _table_pieces(file: Path, request: SourceRequest) -> Iterator[_Piece]:
    """Rows of a table with a column per region and the scans in column `names`."""
    try:
        table = read_separated(file)
        kind = next((kind for kind in KINDS[:2] if kind in file.stem), "")
        atlas, _, column = file.stem.partition(kind)[2].rpartition("_") if kind else ("", "", "")
        if not atlas or table.columns[0] != "names":
            raise DatasetError(
                f"{file}: not a table exported by CAT12 (*_catROI_ATLAS_MEASURE.csv whose first "
                "column is 'names'); export it again, or give it with --measures"
            )
        values = number_columns(file, table, list(table.columns[1:]))
    except DatasetError as error:
        yield _Piece(problem=problem_of(error))
        return
    measure, unit = MEASURES.get(column, (column, ""))
    regions = tuple(table.columns[1:])
    for text, row in zip(table["names"], values, strict=True):
        stem = Path(str(text).replace("\\", "/")).name
        scan, problem = _placed(file / stem, stem, request)
        if problem:
            yield _Piece(problem=problem)
        if scan:
            block = Block(scan, measure, unit, atlas, regions, row)
            yield _Piece(scan, _stream(stem, request), "", (block,))


def _mixed_versions(software: pd.DataFrame, path: Path) -> Iterator[SourceProblem]:
    known = software[software["version"] != ""]
    for participant, own in known.groupby("participant_id", sort=False):
        versions = dict(zip(own["session_id"], own["version"], strict=True))
        if len(set(versions.values())) > 1:
            shown = ", ".join(f"ses-{session}: {text}" for session, text in versions.items())
            what = f"mixed processing versions ({shown}): their change is not to be trusted"
            advice = "process all sessions with one version of CAT12"
            yield SourceProblem(what, f"{path}: sub-{participant}", advice)
