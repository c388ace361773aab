"""What harmonisation keeps."""

import numpy as np
import pandas as pd

from workflows.compute.site_design import part_of, rows_of, scan_design
from workflows.compute.site_harmonisation import Scans, apply_harmonisation, fit_harmonisation

PEOPLE = pd.DataFrame(
    {"arm": ["CBT", "WL", "CBT", "WL"], "age": [30.0, 40, 50, np.nan], "sex": ["f", "m", "m", "f"]},
    index=["1", "2", "3", "4"],
)
SCANS = pd.DataFrame(
    {
        "participant_id": ["1", "1", "2", "2", "3", "4"],
        "session_id": ["post", "pre", "pre", "post", "pre", "pre"],
        "site": ["A", "A", "B", "B", "A", "B"],
    }
)


def test_sessions_arms_their_product_and_covariates_are_kept():
    design = scan_design(SCANS, PEOPLE, ("pre", "post"), "arm")
    assert design.names == ("ses-post", "arm WL", "arm WL ses-post", "age")
    expected = [[1, 0, 0, 30], [0, 0, 0, 30], [0, 1, 0, 40], [1, 1, 1, 40], [0, 0, 0, 50]]
    np.testing.assert_array_equal(design.covariates[:5], expected)
    assert np.isnan(design.covariates[5]).all()
    assert design.person.tolist() == [0, 0, 1, 1, 2, 3]


def test_a_column_that_is_a_sum_of_others_is_left_out():
    same = PEOPLE.assign(age=[1.0, 2, 1, 2])
    assert "age" not in scan_design(SCANS, same, ("pre", "post"), "arm").names


def test_without_arms_only_sessions_and_covariates_are_kept():
    design = scan_design(SCANS, PEOPLE[["sex"]], ("pre", "post"), "")
    assert design.names == ("ses-post", "sex m")


def test_parts_of_the_features_give_the_same_as_all_at_once():
    rng = np.random.default_rng(2)
    site = np.repeat(["A", "B"], 12).astype(object)
    person = np.repeat(np.arange(12), 2)
    values = rng.normal(size=(24, 6)) + (site == "A")[:, None]
    scans = Scans(site, person, np.tile([0.0, 1.0], 12)[:, None], ("ses-post",))
    learned = fit_harmonisation(values, scans)
    whole, rows = apply_harmonisation(learned, values, scans), np.arange(8)
    part = apply_harmonisation(part_of(learned, slice(2, 4)), values[:8, 2:4], rows_of(scans, rows))
    np.testing.assert_allclose(part, whole[:8, 2:4], rtol=1e-12)
