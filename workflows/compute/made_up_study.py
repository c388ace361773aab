"""Made-up studies as tables, one for each design, with known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

REGIONS = (
    "lh_hippocampus",
    "rh_hippocampus",
    "lh_amygdala",
    "rh_amygdala",
    "lh_rostralanteriorcingulate",
    "rh_rostralanteriorcingulate",
    "lh_insula",
    "rh_insula",
    "lh_thalamusproper",
    "rh_thalamusproper",
    "lh_superiorfrontal",
    "rh_superiorfrontal",
)
MEAN_ML = np.array([4.0, 4.1, 1.6, 1.7, 2.5, 2.2, 6.8, 6.9, 7.5, 7.3, 21.0, 21.5])
BETWEEN_SHARE, NOISE_SHARE = 0.1, 0.015
CHANGED = ("lh_hippocampus", "rh_hippocampus")
ATLAS = "DesikanKilliany"


@dataclass(frozen=True)
class MadeUpStudy:
    """Tables of a study and what was planted in it.

    `participants` is participants.tsv with wide scores, `measures` a long table of regional
    volumes in ml, `truth` the planted effects: table, term, region, value.
    """

    participants: pd.DataFrame = field(repr=False)
    measures: pd.DataFrame = field(repr=False)
    truth: pd.DataFrame


def one_arm(rng: np.random.Generator) -> MadeUpStudy:
    """Forty people in treatment: the hippocampus grows by .15 ml, more where the BDI falls more."""
    n = 40
    better = rng.normal(12, 5, n)
    gain = 0.15 + 0.02 * (better - 12) + rng.normal(0, 0.08, n)
    people = _people(n, rng)
    before = rng.normal(28, 6, n)
    people["BDI_ses-pre"] = _points(before)
    people["BDI_ses-post"] = _points(before - better)
    volumes = _volumes(n, rng)
    scans = {"pre": _scan(volumes, rng), "post": _scan(_grown(volumes, gain), rng)}
    truth = [("change", "mean change", region, 0.15) for region in CHANGED]
    return MadeUpStudy(people, _long(people, scans), _truth(truth))


def two_arms(rng: np.random.Generator) -> MadeUpStudy:
    """A randomised trial of 90 with dropout: those with a high BDI leave the waitlist early.

    CBT lowers the BDI by 7 points and makes the hippocampus .2 ml larger.
    """
    n = 90
    cbt = rng.permutation(np.arange(n) % 2 == 0)
    people = _people(n, rng).assign(group=np.where(cbt, "CBT", "waitlist"))
    before = rng.normal(28, 6, n)
    people["BDI_ses-pre"] = _points(before)
    people["BDI_ses-mid"] = _points(before - 2 - 3.5 * cbt + rng.normal(0, 5, n))
    people["BDI_ses-post"] = _points(before - 3 - 7 * cbt + rng.normal(0, 5, n))
    leaves = rng.random(n) < np.where(cbt, 0.1, 0.05 + 0.4 * (before > 30))
    people.loc[leaves, "BDI_ses-post"] = np.nan
    volumes = _volumes(n, rng)
    later = _scan(_grown(volumes, 0.2 * cbt + rng.normal(0, 0.1, n)), rng)
    later[leaves] = np.nan
    scans = {"pre": _scan(volumes, rng), "post": later}
    truth = [("baseline_adjusted", "CBT - waitlist", region, 0.2) for region in CHANGED]
    truth.append(("mixed", "CBT - waitlist at ses-post", "BDI", -7.0))
    return MadeUpStudy(people, _long(people, scans), _truth(truth))


def three_waves(rng: np.random.Generator) -> MadeUpStudy:
    """Sixty people scanned before, after and half a year after; some miss a wave.

    The hippocampus grows by .2 ml until the end of CBT and keeps half of it.
    """
    n = 60
    cbt = rng.permutation(np.arange(n) % 2 == 0)
    people = _people(n, rng).assign(group=np.where(cbt, "CBT", "control"))
    before = rng.normal(28, 6, n)
    for session, fall in (("pre", 0), ("post", 8), ("fu", 6)):
        people[f"BDI_ses-{session}"] = _points(before - fall * cbt + rng.normal(0, 4, n))
    volumes, own = _volumes(n, rng), rng.normal(0, 0.08, n)
    scans = {
        session: _scan(_grown(volumes, share * (0.2 * cbt + own)), rng)
        for session, share in (("pre", 0), ("post", 1), ("fu", 0.5))
    }
    for session, rate in (("post", 0.1), ("fu", 0.25)):
        scans[session][rng.random(n) < rate] = np.nan
    truth = [("mixed", "CBT - control at ses-post", region, 0.2) for region in CHANGED]
    truth += [("mixed", "CBT - control at ses-fu", region, 0.1) for region in CHANGED]
    return MadeUpStudy(people, _long(people, scans), _truth(truth))


def two_sites(rng: np.random.Generator) -> MadeUpStudy:
    """A trial of 80 at two sites whose scanners measure 6 % apart and with unlike noise."""
    n = 80
    cbt = rng.permutation(np.arange(n) % 2 == 0)
    north = rng.random(n) < 0.5
    people = _people(n, rng).assign(
        group=np.where(cbt, "CBT", "waitlist"), site=np.where(north, "north", "south")
    )
    before = rng.normal(28, 6, n)
    people["BDI_ses-pre"] = _points(before)
    people["BDI_ses-post"] = _points(before - 3 - 7 * cbt + rng.normal(0, 5, n))
    volumes = _volumes(n, rng)
    later = _grown(volumes, 0.25 * cbt + rng.normal(0, 0.08, n))
    factor = np.where(north, 1.06, 1.0)[:, None]
    rough = np.where(north, 1.5, 1.0)[:, None]
    scans = {
        session: factor * (values + rough * NOISE_SHARE * MEAN_ML * rng.normal(size=values.shape))
        for session, values in (("pre", volumes), ("post", later))
    }
    truth = [("baseline_adjusted", "CBT - waitlist", region, 0.25) for region in CHANGED]
    return MadeUpStudy(people, _long(people, scans), _truth(truth))


def alliance(rng: np.random.Generator) -> MadeUpStudy:
    """A trial of 120 in which alliance at session 4 carries half of the effect on the BDI.

    Alliance (WAI) and BDI are also scored in sessions 2, 4, 6 and 8: where alliance is a point
    above a person's own mean, the BDI of the next session is 1.5 lower.
    """
    n, sessions = 120, ("s2", "s4", "s6", "s8")
    cbt = rng.permutation(np.arange(n) % 2 == 0)
    people = _people(n, rng).assign(group=np.where(cbt, "CBT", "support"))
    before, bond = rng.normal(28, 6, n), rng.normal(5, 0.6, n) + 0.6 * cbt
    people["BDI_ses-pre"] = _points(before)
    own = np.zeros(n)
    for place, session in enumerate(sessions):
        level = before - 1.5 * place - 1.5 * own
        people[f"BDI_ses-{session}"] = _points(level + rng.normal(0, 2, n))
        own = rng.normal(0, 0.5, n)
        people[f"WAI_ses-{session}"] = (bond + own).round(2)
    carried = people["WAI_ses-s4"].to_numpy()
    after = before - 3 * cbt - 5 * (carried - 5) + rng.normal(0, 4, n)
    people["BDI_ses-post"] = _points(after)
    volumes = _volumes(n, rng)
    scans = {"pre": _scan(volumes, rng), "post": _scan(_grown(volumes, 0.1 * cbt), rng)}
    truth = [
        ("mechanism_alliance", "indirect", "", -3.0),
        ("mechanism_alliance", "direct", "", -3.0),
        ("process_alliance", "next session, within", "", -1.5),
    ]
    return MadeUpStudy(people, _long(people, scans), _truth(truth))


STUDIES: dict[str, Callable[[np.random.Generator], MadeUpStudy]] = {
    "one_arm": one_arm,
    "two_arms": two_arms,
    "three_waves": three_waves,
    "two_sites": two_sites,
    "alliance": alliance,
}


def _people(n, rng):
    labels = [f"sub-{number:03d}" for number in range(1, n + 1)]
    age, sex = rng.integers(20, 60, n), rng.choice(["f", "m"], n, p=[0.65, 0.35])
    return pd.DataFrame({"participant_id": labels, "age": age, "sex": sex})


def _points(values):
    return np.clip(np.round(values), 0, 63)


def _volumes(n, rng):
    size = 1 + BETWEEN_SHARE * (0.7 * rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, 12)))
    return MEAN_ML * size


def _grown(volumes, gain_ml):
    """Volumes with `gain_ml` of each person added in the changed regions."""
    changed = np.array([region in CHANGED for region in REGIONS])
    return volumes + np.asarray(gain_ml)[:, None] * changed


def _scan(volumes, rng):
    return volumes + NOISE_SHARE * MEAN_ML * rng.normal(size=volumes.shape)


def _long(people, scans):
    tables = [
        pd.DataFrame(values, columns=REGIONS)
        .assign(participant_id=people["participant_id"], session_id=f"ses-{session}")
        .melt(["participant_id", "session_id"], var_name="region")
        for session, values in scans.items()
    ]
    table = pd.concat(tables, ignore_index=True).dropna(subset=["value"])
    table = table.assign(modality="T1w", measure="volume", atlas=ATLAS, unit="ml")
    names = ["participant_id", "session_id", "modality", "measure", "atlas", "region"]
    return table[[*names, "value", "unit"]].reset_index(drop=True)


def _truth(rows):
    return pd.DataFrame(rows, columns=["table", "term", "region", "value"])
