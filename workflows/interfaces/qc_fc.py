"""QC-FC on change, as a node of the group level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from workflows.compute.problems import NOTE, Problem, problem_table
from workflows.compute.qc_fc import (
    ALPHA,
    FEW_PEOPLE,
    LEAST_PEOPLE,
    QC_FC_COLUMNS,
    edge_distances_mm,
    motion_correlations,
    qc_fc_table,
)
from workflows.compute.region_places import edge_regions, region_centres
from workflows.interfaces.group_pictures import standard_brain
from workflows.interfaces.group_tables import load_table, save_table

QC_FC, QC_FC_EDGES = "qc_fc.tsv", "qc_fc_edges.tsv"
FAMILY = ["modality", "baseline", "followup"]
PAIR = ["participant_id", *FAMILY]
COLUMNS = ["modality", "atlas", "baseline", "followup", *QC_FC_COLUMNS]
EDGE_COLUMNS = [*COLUMNS[:4], "region_a", "region_b", "distance_mm", "r", "p", "n"]
MOTION = "fd_mean"
N_PERMUTATIONS = 1000


class _QcFcInputSpec(BaseInterfaceInputSpec):
    connectivity_change_file = File(
        exists=True, desc="change of Fisher z, n_pairs x n_edges (.npy)"
    )
    pairs_file = File(exists=True, desc="pair of each row of connectivity_change_file")
    edges_file = File(exists=True, desc="regions of each column of connectivity_change_file")
    quality_pairs_file = File(exists=True, desc="change of motion between two sessions")
    output_dir = traits.Str(mandatory=True, desc="derivative dataset, to find the atlas")
    random_seed = traits.Int(mandatory=True, desc="start of the random numbers")


class _QcFcOutputSpec(TraitedSpec):
    qc_fc_file = File(exists=True, desc="what is left of motion, three rows a pair of sessions")
    qc_fc_edges_file = File(exists=True, desc="correlation with motion and length of each edge")
    problems_file = File(exists=True, desc="notes: few people, or more than chance")


class QcFc(SimpleInterface):
    """Correlation over people of change in connectivity with change in head motion.

    Without connectivity or without measures of motion there are no tables.
    """

    input_spec = _QcFcInputSpec
    output_spec = _QcFcOutputSpec

    def _run_interface(self, runtime):
        inputs, folder, notes = self.inputs, Path(runtime.cwd), []
        if isdefined(inputs.connectivity_change_file) and isdefined(inputs.quality_pairs_file):
            table, edges = cohort_qc_fc(inputs)
            notes = qc_fc_notes(table)
            self._results["qc_fc_file"] = save_table(table, folder / QC_FC)
            self._results["qc_fc_edges_file"] = save_table(edges, folder / QC_FC_EDGES)
        self._results["problems_file"] = save_table(problem_table(notes), folder / "problems.tsv")
        return runtime


def cohort_qc_fc(inputs: TraitedSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of all kinds of scans and pairs of sessions, COLUMNS and EDGE_COLUMNS."""
    pairs, edges = load_table(inputs.pairs_file), load_table(inputs.edges_file)
    change = np.load(inputs.connectivity_change_file, mmap_mode="r")
    motion = motion_change(pairs, load_table(inputs.quality_pairs_file))
    edges = edges.assign(distance_mm=edge_lengths_mm(edges, inputs.output_dir))
    rng, summaries, singles = np.random.default_rng(inputs.random_seed), [], []
    for family, rows in pairs.groupby(FAMILY, sort=False).indices.items():
        rows = rows[np.isfinite(motion[rows])]
        named = dict(zip(FAMILY, family, strict=True))
        own = np.asarray(change[rows], dtype=float)
        lengths = edges["distance_mm"].to_numpy()
        summary = qc_fc_table(own, motion[rows], lengths, N_PERMUTATIONS, rng)
        summaries.append(summary.assign(**named, atlas=edges["atlas"].iloc[0]))
        if len(rows) >= LEAST_PEOPLE:
            found = motion_correlations(own, motion[rows])
            singles.append(pd.concat([edges, found], axis=1).assign(**named))
    return _joined(summaries, COLUMNS), _joined(singles, EDGE_COLUMNS)


def motion_change(pairs: pd.DataFrame, quality_pairs: pd.DataFrame) -> np.ndarray:
    """Change of mean framewise displacement (mm) of each pair; NaN where it is not known.

    Parameters
    ----------
    pairs : DataFrame
        participant_id, modality, baseline, followup.
    quality_pairs : DataFrame
        The same columns, metric and change.
    """
    known = quality_pairs[quality_pairs["metric"] == MOTION]
    both = pairs[PAIR].merge(known[[*PAIR, "change"]], on=PAIR, how="left", validate="one_to_one")
    return both["change"].to_numpy(dtype=float)


def edge_lengths_mm(edges: pd.DataFrame, output_dir: str) -> np.ndarray:
    """Distance between the regions of each edge on the standard brain (mm).

    NaN throughout where the atlas is not known in that space.
    """
    regions = edge_regions(edges)
    standard = standard_brain(str(edges["atlas"].iloc[0]), Path(output_dir))
    places = np.full((len(regions), 3), np.nan)
    if standard is not None:
        indices = [standard.index.get(name, -1) for name in regions]
        places = region_centres(standard.labels, standard.brain.affine, indices)
    return edge_distances_mm(places)


def qc_fc_notes(table: pd.DataFrame) -> list[Problem]:
    """A note where there are few people, and where more is left of motion than chance makes."""
    notes = []
    for (modality, first, later), rows in table.groupby(FAMILY, sort=False):
        where, n = f"qc_fc.tsv, {modality} ses-{first} to ses-{later}", int(rows["n"].iloc[0])
        if n < FEW_PEOPLE:
            what = f"{n} people have both sessions and a measure of motion"
            advice = f"read it with {FEW_PEOPLE} people or more; below {LEAST_PEOPLE} it is n/a"
            notes.append(Problem(what, where, advice, NOTE))
        beyond = rows[rows["p"] < ALPHA]
        if len(beyond):
            said = ", ".join(f"{row.statistic} {row.value:.2f}" for row in beyond.itertuples())
            what = f"change of connectivity goes with change of motion: {said}"
            advice = "compare with a stricter func.strategy or func.fd_threshold_mm"
            notes.append(Problem(what, where, advice, NOTE))
    return notes


def _joined(tables, columns):
    filled = [table.reindex(columns=columns) for table in tables]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
