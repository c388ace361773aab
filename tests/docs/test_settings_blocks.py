"""Settings shown in README and docs are settings that the program takes."""

import pytest
import yaml
from markdown_blocks import blocks, pages

from configs.settings import Settings

FOUND = [block for page in pages() for block in blocks(page) if block.language == "yaml"]


@pytest.mark.parametrize("block", FOUND, ids=str)
def test_the_settings_are_valid(block):
    told = yaml.safe_load(block.text)
    assert Settings.model_validate(told).model_dump(exclude_unset=True).keys() == told.keys()
