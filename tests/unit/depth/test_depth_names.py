"""Names of ra.depth: each is what it says, whatever was imported before."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import reelarray as ra


def test_every_public_name_is_there() -> None:
    assert len(ra.depth.__all__) > 30
    for name in ra.depth.__all__:
        assert not inspect.ismodule(getattr(ra.depth, name)), name


@pytest.mark.parametrize("first", ["import reelarray.depth.running", "ra.depth.extract_recording", "import dask"])
def test_functions_are_not_hidden_by_modules_of_their_names(first: str) -> None:
    """Importing reelarray.depth.scene would make the module an attribute of the package."""
    then = "print(callable(ra.depth.scene), callable(ra.depth.extract), callable(ra.depth.camera))"
    code = f"import reelarray as ra\n{first}\n{then}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True"] * 3


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(AttributeError, match="extract_recording"):
        ra.depth.no_such_name  # noqa: B018
