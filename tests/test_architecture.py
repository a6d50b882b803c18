"""The house: dependencies point one way, and importing reelarray stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import reelarray

SOURCE = Path(reelarray.__file__).parent
# Each module may import those on lines above its own, and those of its own line that are in its own package.
ORDER = [
    ["errors"],
    ["exact", "windows", "compiled"],
    ["clock", "merging"],
    ["work"],
    ["stitching"],
    ["timeindex"],
    ["recordings", "cells"],
    ["annotated"],
    ["source"],
    ["formats"],
    ["table", "catalog", "calibration", "decibels"],
    ["graph"],
    ["ahead"],
    ["choosing", "joining"],
    ["opening"],
    ["engine", "testing"],
    ["plan", "groups", "gaps"],
    ["layers", "rowblocks"],
    ["lift"],
    ["signal"],
    ["driving"],
    ["sinks"],
    ["plot"],
    ["clusters"],
    ["progress"],
    ["recipe"],
    ["watching"],
    ["depth"],
    ["commands", "cli", "demo"],
]
LAZY = {"__init__", "accessor"}  # these find public functions by name when they are asked for
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
DASK = {"ahead", "graph", "layers", "rowblocks", "groups", "gaps", "driving", "sinks", "clusters", "recipe"} | {
    "timeindex"  # its token only
}


def module_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Names imported anywhere in a file: 'reelarray.x' for ours, the top-level package for others."""
    found = set()
    package = ["reelarray", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{name}.{alias.name}" for alias in node.names} if name == "reelarray" else {name}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_dependencies_point_one_way(path):
    own = module_of(path)
    if own in LAZY:
        return
    assert own in RANK, f"{own} has no place in the order: add it to ORDER, and to the README's Inside section"
    for name in imports(path):
        if not name.startswith("reelarray."):
            continue
        other = name.split(".")[1]
        if other == own or other == "__version__":
            continue
        same_row = RANK.get(other) == RANK[own]
        assert RANK.get(other, 99) < RANK[own] or (same_row and own in ORDER[-1]), f"{own} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_dask_stays_where_graphs_are_made(path):
    names = {name.split(".")[0] for name in imports(path)}
    if module_of(path) not in DASK:
        assert "dask" not in names
    if module_of(path) == "testing":
        return  # the kit of formats proves that sources can be sent to workers
    safe = {"yaml"} if path.parts[-2:] == ("depth", "yamlfiles.py") else set()  # its safe loader only
    assert not names & {"pickle", "cloudpickle", "yaml", "marshal", "shelve"} - safe, "no format that can run code"


def test_windows_imports_nothing_of_ours():
    assert not {n for n in imports(SOURCE / "windows.py") if n.startswith("reelarray")}


def test_kernels_are_free_of_xarray_machinery_in_windows_and_clock():
    for name in ("exact.py", "clock.py", "stitching.py", "windows.py", "work.py"):
        assert not imports(SOURCE / name) & {"xarray", "dask", "pandas"}


def loaded_after(statement: str, *names: str, argv0: str = "python") -> set[str]:
    code = f"import sys; sys.argv = [{argv0!r}]; {statement}; print(*[n for n in {list(names)!r} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_reelarray_loads_nothing_heavy():
    heavy = ("distributed", "dask_jobqueue", "matplotlib", "numba", "scipy.signal", "soundfile", "dask", "h5py", "zarr")
    assert not loaded_after("import reelarray", *heavy)


def test_opening_and_transforming_loads_no_cluster_and_no_pictures():
    heavy = ("distributed", "dask_jobqueue", "matplotlib", "numba")
    made = "import reelarray as ra, numpy as np; s = ra.spectrogram(ra.recording(np.zeros(4096), rate=48000){})"
    assert not loaded_after(made.format(", engine='scipy'") + ".values", *heavy)
    assert not loaded_after(made.format(".chunk(), engine='numba'"), *heavy)


def test_the_command_answers_help_without_xarray():
    help_only = "import reelarray.cli as c; c.parser().format_help()"
    assert not loaded_after(help_only, "xarray", "dask", "pandas", "numpy", argv0="/usr/bin/reel")


def test_every_public_name_is_there_and_has_a_docstring():
    for name in reelarray.__all__:
        value = getattr(reelarray, name)
        assert getattr(value, "__doc__", None), name


def test_the_accessor_has_the_public_functions_with_their_signatures():
    import inspect

    import numpy as np

    from reelarray import accessor

    x = reelarray.recording(np.zeros(64), rate=8)
    for name in accessor._MODULE_OF:
        function, method = getattr(reelarray, name), getattr(x.reel, name)
        assert list(inspect.signature(method).parameters) == list(inspect.signature(function).parameters)[1:], name
        assert method.__doc__ == function.__doc__
