"""Change of regions on the page of a participant: first session against each later one."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from workflows.interfaces.participant_regions import change_maps, region_changes

ORDER = ["ses-pre", "ses-post", "ses-fu"]
REGIONS = ["lh_insula", "rh_insula"]


def write_session(folder, session, volumes, errors=(0.3, 0.4)):
    table = pd.DataFrame({"index": [35, 76], "region": REGIONS, "volume": volumes})
    table = table.assign(volume_standard_error=errors)
    name = f"sub-01_ses-{session}_atlas-DesikanKilliany_desc-volume_morph.tsv"
    write_table(table, folder / f"ses-{session}" / "anat" / name)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sub-01"
    write_session(folder, "fu", [9.0, np.nan])
    write_session(folder, "post", [11.0, 4.0], (0.4, 0.3))
    write_session(folder, "pre", [9.0, 4.0])
    return folder


def test_later_sessions_are_compared_with_the_first_in_time(folder):
    changes = region_changes(folder, ORDER).set_index(["followup", "region"])
    assert set(changes["baseline"]) == {"ses-pre"}
    assert changes.loc[("ses-post", "lh_insula"), "change"] == 2.0
    assert changes.loc[("ses-post", "lh_insula"), "percent_change"] == 20.0
    assert changes.loc[("ses-post", "lh_insula"), "standard_error"] == pytest.approx(0.5)
    assert changes.loc[("ses-fu", "lh_insula"), "change"] == 0.0
    assert np.isnan(changes.loc[("ses-fu", "rh_insula"), "change"])


def test_the_other_order_in_time_flips_the_sign(folder):
    changes = region_changes(folder, ["ses-post", "ses-pre"])
    assert changes["change"].tolist() == [-2.0, 0.0]


def test_one_session_has_no_change(folder):
    assert len(region_changes(folder, ["ses-pre"])) == 0
    assert change_maps(region_changes(folder, ["ses-pre"]), folder.parent) == ()


def test_the_brain_tells_value_error_and_percent(folder):
    first, second = change_maps(region_changes(folder, ORDER), folder.parent)
    assert first.title == "ses-post: change in grey-matter volume"
    told = {name: words for _, name, _, words, _ in first.regions}
    assert told["lh_insula"] == "9 to 11 ml, +2 ± 0.98 (+20.0 %)"
    assert [name for _, name, *_ in second.regions] == ["lh_insula"]
    assert first.unit == "%"
