"""Every reader of files from outside, each with whole files to start from.

Shared by the fast tests and by the long run of `.ci/fuzz`.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from bids_utils import events, exclusions, fmriprep, images, phenotype, rescan_table, sessions
from bids_utils.acquisition import acquisition, slice_times
from bids_utils.derivatives import read_table
from bids_utils.filters import read_filters
from bids_utils.index import index_dataset
from bids_utils.names import parse_name
from bids_utils.readers import sources
from bids_utils.readers.cifti import cifti_series
from bids_utils.readers.plain_xml import read_xml
from bids_utils.readers.records import SourceRequest
from bids_utils.readers.separated import read_separated
from bids_utils.sidecars import read_metadata, scanner_name
from bids_utils.stats_model import contrast_from_formula, read_stats_model
from bids_utils.tables import read_text_table
from configs.atlases import chosen_atlas
from configs.label_tables import read_label_table
from configs.lock import read_lock
from configs.settings import AtlasSettings, load_settings
from workflows.interfaces.headers import read_image_facts
from workflows.interfaces.volumes import check_whole, load_labels, load_mask, load_volume

REPOSITORY = Path(__file__).parents[2]
Use = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """A file at `place` below a folder, read by `use`; `beside` are other files that it needs."""

    place: str
    use: Use
    seeds: tuple[bytes, ...]
    beside: dict[str, str] = field(default_factory=dict)

    def run(self, folder: Path, content: bytes) -> None:
        """Write the content, and what it needs, and read it."""
        for name, text in self.beside.items():
            other = folder / name
            other.parent.mkdir(parents=True, exist_ok=True)
            other.write_text(text, encoding="utf-8")
        path = folder / self.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.use(path)


def text(*lines: str) -> bytes:
    """Lines of a file."""
    return "\n".join(lines).encode() + b"\n"


def tabs(*lines: str) -> bytes:
    """Lines of a table, its cells separated by spaces here and by tabs there."""
    return text(*(line.replace(" ", "\t") for line in lines))


def as_json(content: object) -> bytes:
    """JSON of an object."""
    return json.dumps(content).encode()


def nifti(shape: tuple[int, ...] = (4, 4, 4), kind: type = np.int16) -> bytes:
    """A small image."""
    volume = np.arange(np.prod(shape), dtype=kind).reshape(shape)
    return nib.Nifti1Image(volume, np.eye(4)).to_bytes()


def cifti() -> bytes:
    """A small file of time series of two regions."""
    layout = (
        b'<CIFTI Version="2"><Matrix><MatrixIndicesMap AppliesToMatrixDimension="0" '
        b'IndicesMapToDataType="CIFTI_INDEX_TYPE_SERIES" SeriesStep="2" SeriesExponent="0" '
        b'SeriesUnit="SECOND"/><MatrixIndicesMap AppliesToMatrixDimension="1" '
        b'IndicesMapToDataType="CIFTI_INDEX_TYPE_PARCELS"><Parcel Name="a"/><Parcel Name="b"/>'
        b"</MatrixIndicesMap></Matrix></CIFTI>"
    )
    head = bytearray(540)
    struct.pack_into("<i", head, 0, 540)
    struct.pack_into("<h", head, 12, 16)
    struct.pack_into("<8q", head, 16, 6, 1, 1, 1, 1, 3, 2, 1)
    struct.pack_into("<q", head, 168, 552 + len(layout))
    extension = struct.pack("<4b2i", 1, 0, 0, 0, 8 + len(layout), 32)
    return bytes(head) + extension + layout + np.arange(6, dtype="<f4").tobytes()


def metadata_of(path: Path) -> None:
    """All that is made of a sidecar."""
    found = read_metadata(path.parent, Path("sub-01_task-rest_bold.nii.gz"))
    scanner_name(found)
    made = acquisition(found, (4, 4, 4, 9), (1.0, 1.0, 1.0, 2.0))
    images.differences(made, acquisition({}, (4, 4, 4, 9), (1.0, 1.0, 1.0, 2.0)))
    slice_times(found, (4, 4, 4, 9), 2.0)


def bold_of(path: Path) -> None:
    """A run with this sidecar, as the plan takes it in."""
    candidate = images.Candidate(
        "sub-01_task-rest_bold.nii.gz",
        "01",
        "pre",
        "bold",
        parse_name("sub-01_task-rest_bold.nii.gz"),
    )
    facts = images.ImageFacts((4, 4, 4, 9), (1.0, 1.0, 1.0), 2.0)
    images.inspect_bold(candidate, images.Inspector(path.parent, lambda _path: facts, 0.001))


def people_of(path: Path) -> None:
    """All that is made of the tables of people and scores of a dataset."""
    root = next(folder for folder in path.parents if (folder / "dataset_description.json").exists())
    phenotype.read_participants(root)
    rules = (phenotype.ScoreRule("bdi", 0, 63), phenotype.ScoreRule("age"))
    phenotype.take_in_scores(root, rules, ("pre", "post"), {"pre": "before"})
    phenotype.list_problems(root, ("bdi",), ("pre",))


def dates_of(path: Path) -> None:
    """Dates and order of the sessions of a participant."""
    dates = sessions.read_dates(path.parents[1], "01", ("pre", "post"))
    rule = sessions.OrderRule(("pre", "post"), ())
    sessions.order_sessions({"01": ("pre", "post")}, {"01": dates}, rule)
    sessions.order_sessions({"01": ("pre", "post")}, {"01": dates}, sessions.OrderRule((), ()))


def formula_of(path: Path) -> None:
    """A contrast of a task."""
    contrast_from_formula("x", path.read_bytes().decode("utf-8", "replace"))


def source_of(name: str, depth: int) -> Use:
    """Results of another tool, whose folder is `depth` levels above the file."""
    request = SourceRequest(session="pre", measure="thickness", unit="mm", modality="T1w")

    def use(path: Path) -> None:
        sources.read_source(name, path.parents[depth - 1] if depth else path, request)

    return use


def confounds_of(path: Path) -> None:
    """A table of confounds of fMRIPrep."""
    bold = images.DerivedBold(path.parent, "", path, path, "MNI")
    images.check_confounds(bold, 2)


def tree_of(path: Path) -> None:
    """A folder of fMRIPrep."""
    request = fmriprep.DerivedRequest((("fmriprep", path.parent),), ("MNI152NLin6Asym",), {}, "")
    fmriprep.find_runs(request)
    fmriprep.generator_version(path.parent)


def labels_of(path: Path) -> None:
    """An atlas of one's own with this table of labels."""
    own = AtlasSettings(
        name="Own", file=path.with_name("own.nii.gz"), labels=path, space="MNI152NLin2009aSym"
    )
    read_label_table(chosen_atlas(own))


ROOT = {"dataset_description.json": '{"Name": "x", "BIDSVersion": "1.10.0"}'}
PEOPLE = ROOT | {"phenotype/bdi.tsv": "participant_id\tsession_id\tbdi\nsub-01\tses-pre\t4\n"}
SIDECAR = as_json(
    {
        "RepetitionTime": 2,
        "SliceTiming": [0, 0.5, 1, 1.5],
        "Manufacturer": "Siemens",
        "SliceEncodingDirection": "k",
    }
)
STATS = text(
    "# Title Segmentation Statistics",
    "# cvs_version $Id: mri_segstats.c 7.2 $",
    "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total, 1500000.0, mm^3",
    "# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean",
    "1 4 10 8000.0 Left-Thalamus 1.0",
)
APARC = text(
    "# Measure Cortex, NumVert, Number of Vertices, 100, unitless",
    "# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd",
    "cuneus 100 1105 2705 2.1 .5",
)
CAT_ROI = text(
    "<S><neuromorphometrics><ids>[4;11]</ids><names><item>a</item><item>b</item></names>",
    "<data><Vgm>[0.05;1]</Vgm></data></neuromorphometrics></S>",
)
CAT_REPORT = text(
    "<S><software><version_cat>12.9</version_cat></software><qualityratings><IQR>2</IQR>",
    "</qualityratings><subjectmeasures><vol_TIV>1500.5</vol_TIV><vol_abs_CGW>[300 700 500]",
    "</vol_abs_CGW></subjectmeasures></S>",
)
STATS_MODEL = as_json(
    {
        "Name": "m",
        "BIDSModelVersion": "1.0.0",
        "Input": {"task": ["rest"]},
        "Nodes": [
            {
                "Level": "Run",
                "Name": "run",
                "Transformations": {
                    "Transformer": "x",
                    "Instructions": [
                        {"Name": "Factor", "Input": ["trial_type"]},
                        {"Name": "Convolve", "Input": ["trial_type.a"], "Model": "spm"},
                    ],
                },
                "Model": {"X": [1, "trial_type.a", "trans_x"], "Type": "glm"},
                "Contrasts": [
                    {
                        "Name": "c",
                        "ConditionList": ["trial_type.a"],
                        "Weights": ["1/3"],
                        "Test": "t",
                    }
                ],
                "DummyContrasts": {"Test": "t"},
            },
            {"Level": "Subject", "Name": "s", "Model": {"X": [1], "Type": "meta"}},
        ],
        "Edges": [{"Source": "run", "Destination": "s"}],
    }
)
RELMAT = "sub-01_ses-pre_task-rest_space-MNI_seg-Tiny_stat-pearsoncorrelation_relmat.tsv"
SERIES = "sub-01_ses-pre_task-rest_space-MNI_seg-Tiny_stat-mean_timeseries.tsv"
FILES = [REPOSITORY / "configs" / "default.yaml", *(REPOSITORY / "configs" / "studies").glob("*")]
TEXTS = tuple(path.read_bytes() for path in sorted(FILES))
YAMLS = (*TEXTS, *(as_json(yaml.safe_load(text)) for text in TEXTS))
GZIPPED = gzip.compress(nifti(), mtime=0)

LOCK = as_json(
    {
        "time": "x",
        "version": "1",
        "settings_sha256": "a",
        "shared": {"a": [1]},
        "analyses": {"model x": {}},
        "inputs": {"participants.tsv": "ab"},
    }
)

TARGETS: dict[str, Target] = {
    "text table": Target("a.tsv", read_text_table, (tabs("a b", "1 2"),)),
    "separated table": Target("a.csv", read_separated, (text("a,b", "1,2"), tabs("a b", '"1" 2'))),
    "written table": Target("a.tsv", read_table, (tabs("participant_id b", "sub-01 2"),)),
    "sidecar": Target("task-rest_bold.json", metadata_of, (SIDECAR,)),
    "BOLD with sidecar": Target("task-rest_bold.json", bold_of, (SIDECAR,)),
    "events": Target(
        "e.tsv",
        lambda path: events.read_events(path, 100.0),
        (tabs("onset duration trial_type", "1 2 a", "3 0 b"),),
    ),
    "participants": Target(
        "participants.tsv",
        people_of,
        (tabs("participant_id age bdi_ses-pre bdi_post", "sub-01 30 5 3", "sub-02 x 1 n/a"),),
        PEOPLE,
    ),
    "participants.json": Target(
        "participants.json",
        people_of,
        (as_json({"age": {"Levels": {"1": "a"}}}),),
        PEOPLE | {"participants.tsv": "participant_id\tage\nsub-01\t3\n"},
    ),
    "phenotype": Target(
        "phenotype/bdi.tsv",
        people_of,
        (tabs("participant_id session_id bdi", "sub-01 ses-pre 5", "sub-01 ses-post 99"),),
        ROOT,
    ),
    "sessions": Target(
        "sub-01/sub-01_sessions.tsv",
        dates_of,
        (tabs("session_id acq_time", "ses-pre 2009-06-15T13:45:30", "ses-post 2010-01-01"),),
    ),
    "scans": Target(
        "sub-01/ses-pre/sub-01_ses-pre_scans.tsv",
        lambda path: sessions.read_dates(path.parents[2], "01", ("pre",)),
        (tabs("filename acq_time", "anat/a.nii.gz 2009-06-15T13:45:30Z"),),
    ),
    "exclusions": Target(
        "x.tsv",
        exclusions.read_exclusions,
        (tabs("participant_id session_id modality run reason", "sub-01 ses-pre T1w run-1 bad"),),
    ),
    "rescan": Target(
        "rescan.tsv",
        rescan_table.read_rescan,
        (tabs("measure atlas region standard_deviation n", "volume A r 2.5 9"),),
    ),
    "filters": Target(
        "f.json", read_filters, (as_json({"t1w": {"acquisition": None}, "bold": {"run": [1]}}),)
    ),
    "stats model": Target("m.json", lambda path: read_stats_model(path, "rest"), (STATS_MODEL,)),
    "contrast": Target("c.txt", formula_of, (b"(a + `b c`)/2 - 3*d", b"a - -b")),
    "settings": Target("s.yaml", load_settings, YAMLS),
    "freesurfer aseg": Target(
        "fs/sub-01_ses-pre/stats/aseg.stats", source_of("freesurfer", 3), (STATS,)
    ),
    "freesurfer aparc": Target(
        "fs/sub-01_ses-pre/stats/lh.aparc.stats", source_of("freesurfer", 3), (APARC,)
    ),
    "cat12 regions": Target(
        "cat/label/catROI_sub-01_ses-pre_T1w.xml", source_of("cat12", 2), (CAT_ROI,)
    ),
    "cat12 report": Target(
        "cat/report/cat_sub-01_ses-pre_T1w.xml",
        source_of("cat12", 2),
        (CAT_REPORT,),
        {"cat/label/catROI_sub-01_ses-pre_T1w.xml": CAT_ROI.decode()},
    ),
    "cat12 table": Target(
        "x_catROI_neuromorphometrics_Vgm.csv",
        source_of("cat12", 0),
        (text("names,a,b", "sub-01_ses-pre,1,2"),),
    ),
    "xml": Target("a.xml", read_xml, (CAT_ROI, b'<?xml version="1.0"?><!DOCTYPE a><a/>')),
    "mriqc json": Target(
        "mriqc/sub-01/ses-pre/func/sub-01_ses-pre_task-rest_bold.json",
        source_of("mriqc", 4),
        (as_json({"fd_mean": 0.1, "tsnr": 50, "size_t": 9, "provenance": {"version": "23"}}),),
    ),
    "mriqc table": Target(
        "mriqc/group_bold.tsv",
        source_of("mriqc", 1),
        (tabs("bids_name fd_mean size_t", "sub-01_ses-pre_task-rest_bold 0.1 9"),),
    ),
    "matrix": Target(
        f"xcp/{RELMAT}",
        source_of("xcpd", 1),
        (tabs("Node a b c", "a 1 .1 .2", "b .1 1 .3", "c .2 .3 1"), tabs("a b", "1 .5", ".5 1")),
    ),
    "series": Target(
        f"xcp/{SERIES}",
        source_of("xcpd", 1),
        (tabs("a b c", "1 2 4", "2 1 3", "3 5 1", "2 4 4", "1 1 2"),),
    ),
    "cifti": Target("a.ptseries.nii", cifti_series, (cifti(),)),
    "measures": Target(
        "m.tsv",
        source_of("table", 0),
        (
            tabs("participant_id session_id measure region value", "sub-01 ses-pre v a 1.5"),
            tabs("participant_id session_id a b", "sub-01 ses-pre 1 2"),
            tabs("Measure:volume Left-Thalamus", "sub-01_ses-pre 5"),
        ),
    ),
    "dataset description": Target(
        "dataset_description.json",
        tree_of,
        (as_json({"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1"}]}),),
    ),
    "source description": Target(
        "src/dataset_description.json",
        source_of("auto", 1),
        (as_json({"GeneratedBy": [{"Name": "XCP-D"}]}),),
    ),
    "confounds": Target(
        "c.tsv", confounds_of, (tabs(" ".join(images.MOTION), "0 0 0 0 0 0 0", "1 1 1 1 1 1 1"),)
    ),
    "atlas labels": Target(
        "own.tsv",
        labels_of,
        (tabs("index name hemisphere structure", "1 a L cortex", "2 b R subcortex"),),
        {"own.nii.gz": ""},
    ),
    "lock": Target("analysis_lock.json", lambda path: read_lock(path.parent), (LOCK,)),
    "NIfTI header": Target("a.nii", read_image_facts, (nifti(), nifti((4, 4, 4, 3)))),
    "NIfTI volume": Target("a.nii", load_volume, (nifti(), nifti((2, 2, 2, 3), np.float32))),
    "NIfTI mask": Target("a.nii", load_mask, (nifti(),)),
    "NIfTI labels": Target("a.nii", load_labels, (nifti(),)),
    "NIfTI gz": Target("a.nii.gz", load_volume, (GZIPPED,)),
    "NIfTI gz whole": Target("a.nii.gz", check_whole, (GZIPPED,)),
    "dataset": Target(
        "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
        lambda path: index_dataset(path.parents[3]),
        (b"",),
        ROOT,
    ),
}
