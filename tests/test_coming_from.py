"""docs/coming-from.md promises nothing that is not there: each name, keyword, column and option of it is looked up."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import logging
import re
import shlex
import wave
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import reelarray
from reelarray.cli import parser
from reelarray.clusters.settings import NAMES
from reelarray.demo.depth import make_session
from reelarray.depth.running import Extracted
from reelarray.formats import format_names, get_format
from reelarray.plot import save_spectrogram
from reelarray.watching.wanted import Wanted

DOCUMENT = Path(__file__).parent.parent / "docs" / "coming-from.md"
HEAD = ["there", "here", "note"]
WORDS = ("left out: ", "later: ")
ROOTS = ("ra", "x", "z", "s", "catalog", "rec", "scene", "xr", "np", "pd", "logging")
SPAN = re.compile(r"`([^`]+)`")
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
SAYS_HERE = re.compile(rf"(?:{'|'.join(ROOTS)})[.\[(]|reel(?: |$)")


# ---- reading the document --------------------------------------------------------------------------------------------


def tables(text: str) -> list[tuple[str, int, list[str]]]:
    """Rows of all tables: (section, line, cells)."""
    rows, section, inside = [], "", False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not line.startswith("|"):
            inside = False
        elif not inside:
            inside = True
            rows.append((section, number, ["HEAD", *cells(line)]))
        elif set(line) - set("|- :"):
            rows.append((section, number, cells(line)))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


TEXT = DOCUMENT.read_text(encoding="utf-8")
ALL = tables(TEXT)
HEADS = [row for row in ALL if row[2][0] == "HEAD"]
ROWS = [row for row in ALL if row[2][0] != "HEAD"]


def settings() -> None:
    """What `ra.cluster` and `ra.submit` take by name beside their own parameters."""


def probes() -> None:
    """What `ra.scan` passes on to the formats."""


def keywords(*functions: Any) -> inspect.Signature:
    found = {name for function in functions for name in inspect.signature(function).parameters}
    return inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in sorted(found)])


def options_of_depth() -> None:
    """What an extraction takes by name."""


options_of_depth.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in reelarray.depth.OPTIONS]
)
probes.__signature__ = keywords(*(get_format(name).probe for name in format_names()))  # type: ignore[attr-defined]
settings.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in NAMES])  # type: ignore[attr-defined]
PASSED_ON = {
    reelarray.cluster: settings,
    reelarray.submit: settings,
    reelarray.open_recordings: reelarray.scan,
    reelarray.scan: probes,
    reelarray.process_recording: Wanted,
    reelarray.open_recording: reelarray.open_recordings,
    save_spectrogram: reelarray.plot_spectrogram,
    reelarray.depth.extract: options_of_depth,
    reelarray.depth.extract_recording: options_of_depth,
    reelarray.depth.extract_recordings: options_of_depth,
    reelarray.depth.resolve_config: options_of_depth,
}


# ---- looking names up ------------------------------------------------------------------------------------------------


class Wrong(AssertionError):
    """Something that the document says and the code does not have."""


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the names of the document stand for, and what calls of functions give."""
    folder = tmp_path_factory.mktemp("coming-from")
    with wave.open(str(folder / "20220301_120000.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    catalog = reelarray.scan(folder, cache=False)
    x = reelarray.open_recordings(catalog, position=(48.0, -5.0))
    s = reelarray.power_spectrum(x, every="1s", nfft=256)
    stated = dict.fromkeys(("span", "bandwidth", "rbw", "rf_attenuation", "reference_level"), 1.0) | {"utc_offset": "Z"}
    iq = reelarray.recording([1j, 1], rate=8000, coords={"center_frequency": 1e6}, attrs=stated)
    z = reelarray.open_recording(reelarray.write_sigmf(iq, folder / "iq.sigmf-meta"), cache=False)
    make_session(folder / "session", frames=20, shape=(212, 256))
    rec = reelarray.open_recording(folder / "session" / "depth.dat", cache=False)
    scene = reelarray.depth.scene(rec, intrinsics={"fx": 180, "fy": 180})
    importlib.import_module("reelarray.catalog")
    modules = {"ra": reelarray, "xr": xr, "np": np, "pd": pd, "logging": logging}
    return modules | {
        "x": x,
        "z": z,
        "s": s,
        "catalog": catalog,
        "rec": rec,
        "scene": scene,
        "ra.depth.extract()": reelarray.depth.extract(rec, scene, flip="motion"),
        "ra.depth.extract_recording()": Extracted(folder, folder, folder),
        **dict.fromkeys(("x.sel()", "x.isel()"), x),
        **dict.fromkeys(("s.sel()", "s.isel()", "ra.stft()"), s),
        "ra.segments()": reelarray.segments(x),
        "ra.to_decibel()": reelarray.to_decibel(s),
        "ra.calibration.Calibration()": importlib.import_module("reelarray.calibration").Calibration(),
        "ra.catalog.summarise()": importlib.import_module("reelarray.catalog").summarise(catalog),
    }


def look_up(node: ast.AST, things: dict[str, Any]) -> Any:
    """The object that an expression of the document stands for; `Wrong` if there is none. Calls are not made."""
    if isinstance(node, ast.Name):
        if node.id not in things:
            raise Wrong(f"{node.id} is none of {', '.join(ROOTS)}")
        return things[node.id]
    if isinstance(node, ast.Attribute):
        owner = look_up(node.value, things)
        if owner is None:
            raise Wrong(f"what {ast.unparse(node.value)} gives is not known: add it to `things`")
        if inspect.ismodule(owner) and not hasattr(owner, node.attr):
            try:
                return importlib.import_module(f"{owner.__name__}.{node.attr}")
            except ImportError:
                raise Wrong(f"{owner.__name__} has no {node.attr}") from None
        if not hasattr(owner, node.attr):
            raise Wrong(f"{ast.unparse(node.value)} has no {node.attr}")
        return getattr(owner, node.attr)
    if isinstance(node, ast.Subscript):
        owner = look_up(node.value, things)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            try:
                return owner[node.slice.value]
            except KeyError:
                raise Wrong(f"{ast.unparse(node.value)} has no {node.slice.value!r}") from None
        return owner
    if isinstance(node, ast.Call):
        function = look_up(node.func, things)
        if not callable(function):
            raise Wrong(f"{ast.unparse(node.func)} cannot be called")
        check_call(function, node)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            look_into(argument, things)
        return things.get(f"{ast.unparse(node.func)}()")
    raise Wrong(f"{ast.unparse(node)} is no name, column or call")


def look_into(node: ast.AST, things: dict[str, Any]) -> None:
    """Look up the parts of an argument that begin with one of our names; other text stands for what a user has."""
    if isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
            inner = inner.func if isinstance(inner, ast.Call) else inner.value
        if isinstance(inner, ast.Name) and inner.id in things:
            look_up(node, things)
            return
    for child in ast.iter_child_nodes(node):
        look_into(child, things)


def check_call(function: Any, node: ast.Call) -> None:
    """Arguments fit the signature; keywords that a function passes on fit that of the one which takes them."""
    given = {keyword.arg: ... for keyword in node.keywords if keyword.arg}
    target, left = function, given
    while left := {name: ... for name in left if name not in inspect.signature(target).parameters}:
        if target in PASSED_ON:
            target = PASSED_ON[target]
        elif (inspect.getmodule(function) or xr).__name__.startswith("reelarray"):
            raise Wrong(f"{ast.unparse(node.func)} has no parameter {', '.join(left)}")
        else:
            break
    try:
        inspect.signature(function).bind_partial(*node.args, **given)
    except TypeError as error:
        raise Wrong(f"{ast.unparse(node)}: {error}") from None


def check_command(text: str) -> None:
    """`reel scan FOLDER --csv FILE`: the subcommand is there and has the options."""
    words = shlex.split(text)
    chosen, at = parser(), 1
    while nested := [action for action in chosen._actions if isinstance(action, argparse._SubParsersAction)]:
        commands = nested[0].choices
        if at >= len(words) or words[at].startswith("-"):
            break
        if words[at] not in commands:
            raise Wrong(f"{' '.join(words[:at])} has no subcommand {words[at]}; it has {', '.join(commands)}")
        chosen, at = commands[words[at]], at + 1
    known = {option for action in chosen._actions for option in action.option_strings}
    missing = [word for word in words[1:] if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
    if missing:
        raise Wrong(f"{' '.join(words[:at])} has no option {', '.join(missing)}")


def check_span(span: str, things: dict[str, Any]) -> None:
    if span.split()[0] == "reel":
        check_command(span)
        return
    try:
        parsed = ast.parse(span, mode="eval").body
    except SyntaxError:
        raise Wrong(f"`{span}` is neither a name, a call nor a reel command") from None
    look_up(parsed, things)


# ---- tests -----------------------------------------------------------------------------------------------------------


def test_the_document_has_tables_of_three_columns() -> None:
    assert len(HEADS) > 20
    assert len(ROWS) > 300
    assert [(line, head) for _, line, head in HEADS if head[1:] != HEAD] == []
    assert [(line, row) for _, line, row in ROWS if len(row) != 3 or not row[0] or not row[1]] == []


def test_every_option_of_depth_video_has_an_answer() -> None:
    section = TEXT.partition("## Coming from moseq2-extract")[2]
    assert len(reelarray.depth.OPTIONS) > 100
    assert [name for name in reelarray.depth.OPTIONS if f"`{name}`" not in section] == []


def test_nothing_has_two_answers_in_one_table() -> None:
    named = Counter((section, row[0]) for section, _, row in ROWS)
    assert [key for key, times in named.items() if times > 1] == []


@pytest.mark.parametrize(("section", "line", "row"), ROWS, ids=[f"{line}-{row[0]}" for _, line, row in ROWS])
def test_every_answer_is_there(section: str, line: int, row: list[str], things: dict[str, Any]) -> None:
    """Each row says what does it here, in names that exist, or why nothing does, or what will."""
    here, note = row[1], row[2]
    if here.startswith(WORDS):
        assert len(here.partition(": ")[2]) > 3, "say why, or what"
        spans = [span for span in SPAN.findall(here) if SAYS_HERE.match(span)]
    else:
        spans = SPAN.findall(here)
        assert spans, f"{here!r} has no name in backticks, and begins with none of {WORDS}"
    for span in spans + [span for span in SPAN.findall(note) if SAYS_HERE.match(span)]:
        check_span(span, things)


def test_names_outside_of_tables_are_there(things: dict[str, Any]) -> None:
    prose = "\n".join(line for line in CODE.sub("", TEXT).splitlines() if not line.startswith("|"))
    for span in SPAN.findall(prose):
        if SAYS_HERE.match(span):
            check_span(span, things)


def test_code_blocks_call_what_is_there(things: dict[str, Any]) -> None:
    """Calls of reelarray in examples, with the names that they assign standing for any object."""
    blocks = [block for block in CODE.findall(TEXT) if "import reelarray as ra" in block]
    assert blocks
    for block in blocks:
        calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
        ours = [call for call in calls if ast.unparse(call.func).split(".")[0] in ("ra", "x", "s")]
        assert ours
        for call in ours:
            look_up(call, things)


@pytest.mark.parametrize(
    "span",
    [
        "ra.no_such_function(x)",
        "ra.spectrogram(x, nfft=..., no_such_keyword=...)",
        "ra.open_recordings(paths, no_such_keyword=...)",
        "ra.process_recording(path, no_such_keyword=...)",
        "z.attrs['no such attribute']",
        "ra.average(x, '60s', '60s')",
        "ra.catalog.no_such_function",
        "x.reel.no_such_method()",
        "x.reel.spectrogram(no_such_keyword=...)",
        "x.no_such_method",
        "x.attrs['no such attribute']",
        "catalog['no such column']",
        "ra.segments(x)['no such column']",
        "ra.average(ra.no_such_function(x), every='60s')",
        "reel no-such-command",
        "reel scan FOLDER --no-such-option",
        "reel cluster no-such-command",
        "reel cluster show --no-such-option",
        "ra.cluster(kind, no_such_setting=...)",
        "not a name",
        "unknown.name",
    ],
)
def test_what_is_not_there_is_found(span: str, things: dict[str, Any]) -> None:
    with pytest.raises(Wrong):
        check_span(span, things)


@pytest.mark.parametrize(
    "span",
    [
        "ra.spectrogram(x, nfft=..., hop=...)",
        "ra.open_recordings(paths, timestamp=..., tolerance=..., begin=...)",
        "ra.open_recording(path, timestamp=...)",
        "ra.open_recording(path, header=True, center_frequency=...)",
        "ra.process_recording(path, zoom_span=...)",
        "z.attrs['rf_attenuation']",
        "ra.errors.ClockError",
        "ra.segments(x)['drift']",
        "ra.rate(x)",
        "x.reel.spectrogram(nfft=...)",
        "x.isel(time=slice(0, 10))",
        "s['frequency']",
        "reel scan FOLDER --files",
        "reel cluster show slurm --preset medium",
        "ra.cluster(kind, environment=..., walltime=...)",
        "reel --version",
    ],
)
def test_what_is_there_is_found(span: str, things: dict[str, Any]) -> None:
    check_span(span, things)
