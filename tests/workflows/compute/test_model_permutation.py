"""Family-wise p values of the models of change by permutation."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.design import DesignRequest
from workflows.compute.families import Cohort, Family
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.results import ModelSpec

NODES = 7
PLAN = PermutationPlan(199, 2.0, random_seed=4)


@pytest.fixture
def rng():
    return np.random.default_rng(9)


@pytest.fixture
def people(rng):
    return pd.DataFrame(
        {"arm": ["CBT", "WL"] * 12, "age": rng.normal(40, 9, 24), "site": ["a", "a", "b", "b"] * 6}
    )


def edges(change):
    first, second = np.triu_indices(NODES, 1)
    labels = pd.DataFrame({"region": None, "region_a": first, "region_b": second}).astype(object)
    values = np.stack([np.zeros_like(change), change])
    return Family("bold", "connectivity", "A", "z", labels, values)


def run(people, change, plan=PLAN, kind="change", **fields):
    score = pd.DataFrame({"BDI": fields.pop("BDI", np.arange(float(len(people))))})
    fields = {"arm_column": "arm", "reference_arm": "WL", **fields}
    spec = ModelSpec(kind, kind, planned=True, request=DesignRequest(("age",)), **fields)
    return run_model(spec, Cohort(people, score), (edges(change),), plan)


def test_a_large_change_of_connected_edges_is_found_as_a_network(people, rng):
    change = rng.normal(0, 1, (24, 21))
    first, second = np.triu_indices(NODES, 1)
    planted = second < 3
    change[:, planted] += 4 * (people["arm"] == "CBT").to_numpy()[:, None]
    result = run(people, change)
    assert (result.rows["p_fwe"][planted] == 1 / 200).all()
    assert (result.rows["p_fwe"][~planted] > 0.05).all()
    largest = result.networks.iloc[0]
    assert largest["term"] == "CBT - WL"
    assert set(["0", "1", "2"]) <= set(largest["regions"].split(";"))
    assert result.rows["fwe_method"].unique().tolist() == [
        "Freedman-Lane, largest |t|, 199 random relabellings"
    ]


def test_the_same_seed_gives_the_same_p_values_and_another_does_not(people, rng):
    change = rng.normal(0, 1, (24, 21))
    one, same = (run(people, change).rows["p_fwe"].to_numpy() for _ in range(2))
    other = run(people, change, PermutationPlan(199, 0.0, random_seed=5)).rows["p_fwe"].to_numpy()
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_terms_of_several_arms_are_corrected_together(people, rng):
    change = rng.normal(0, 1, (24, 21))
    three = people.assign(arm=["CBT", "WL", "NFB"] * 8)
    rows = run(three, change).rows
    strongest = rows["statistic"].abs().idxmax()
    alone = run(three, change[:, [rows["region_b"].index[strongest % 21]] * 21]).rows
    assert rows["p_fwe"][strongest] >= alone["p_fwe"].min()
    assert (rows["p_fwe"] >= rows["p"] - 0.05).all()


def test_symptoms_and_a_mean_change_are_permuted_too(people, rng):
    change = rng.normal(0, 1, (24, 21))
    change[:, 4] += 3
    score = 2 * change[:, 7] + rng.normal(0, 0.5, 24)
    symptoms = run(people, change, kind="symptoms", score="BDI", BDI=score).rows
    assert symptoms["p_fwe"].idxmin() == 7
    assert symptoms["p_fwe"].min() == 1 / 200
    mean = run(people, change, arm_column="", reference_arm="").rows
    assert mean["p_fwe"].idxmin() == 4
    assert mean["fwe_method"].str.startswith("Freedman-Lane").all()


def test_sites_are_never_mixed_by_a_permutation(people, rng):
    """All CBT of site a change by 3 and nobody at site b: a free exchange would not know."""
    change = rng.normal(0, 0.1, (24, 21)) + 3 * (people["site"] == "a").to_numpy()[:, None]
    rows = run(people, change, block_column="site").rows
    assert (rows["p_fwe"] > 0.05).all()


def test_one_family_holds_its_error_rate(people, rng):
    plan = PermutationPlan(99, 0.0, random_seed=1)
    found = [
        (run(people, rng.normal(0, 1, (24, 21)), plan).rows["p_fwe"] <= 0.05).any()
        for _ in range(60)
    ]
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_people_without_data_change_nothing(people, rng):
    change = rng.normal(0, 1, (24, 21))
    alone = run(people, change).rows["p_fwe"].to_numpy()
    more = pd.concat([people, people.assign(arm="WL")], ignore_index=True)
    padded = np.vstack([change, np.full((24, 21), np.nan)])
    both = run(more, padded).rows["p_fwe"].to_numpy()
    np.testing.assert_array_equal(both, alone)


def test_networks_of_several_arms_are_corrected_together(rng):
    people = pd.DataFrame({"arm": np.repeat(list("ABCDE"), 6), "age": rng.normal(40, 9, 30)})
    plan = PermutationPlan(99, 1.2, random_seed=2)
    found = 0
    for _ in range(100):
        networks = run(people, rng.normal(0, 1, (30, 21)), plan, reference_arm="A").networks
        found += bool(len(networks) and (networks["p_fwe"] <= 0.05).any())
    assert found <= 10  # each arm corrected by itself gives 13
