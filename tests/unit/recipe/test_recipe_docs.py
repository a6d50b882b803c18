"""docs/recipes.md promises nothing that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from reelarray.cli.codes import EXIT_CODES
from reelarray.recipe import Recipe, naming, tables
from reelarray.recipe.outputs import _KINDS

TEXT = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_recipes_in_the_text_are_recipes(block, tmp_path):
    assert Recipe.from_dict(tomllib.loads(block), folder=tmp_path).steps


def test_tables_placeholders_suffixes_and_codes_are_all_listed():
    assert len(BLOCKS) == 2
    for name in tables.TABLES:
        assert f"`[{name}]`" in TEXT or f"`[[{name}]]`" in TEXT
    for name in naming.PLACEHOLDERS:
        assert f"{{{name}" in TEXT
    for suffix in _KINDS:
        assert f"`{suffix}`" in TEXT
    assert re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE) == [
        code for code in re.findall(r"^  (\d)  ", EXIT_CODES, re.MULTILINE) if code != "1"
    ]


def test_the_step_of_ones_own_works(tmp_path, folder):
    (tmp_path / "my_steps_of_docs.py").write_text(re.findall(r"```python\n(# my_steps.*?)```", TEXT, re.DOTALL)[0])
    step = {"use": "my_steps_of_docs.louder", "factor": 2.0}
    content = {"input": {"paths": "recordings"}, "step": [step], "output": {"path": "a.zarr"}}
    recipe = Recipe.from_dict(content, folder=tmp_path)
    x = recipe.open()
    assert (recipe.apply(x).values == 2 * x.values).all()
