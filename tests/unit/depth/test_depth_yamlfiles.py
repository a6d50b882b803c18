"""YAML files: what is written comes back, words mean what they say, and nothing in a file is run."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reelarray.depth.yamlfiles import plain, read_yaml, write_yaml
from reelarray.errors import FormatError

TEXTS = ["008", "1e-5", "yes", "12:30", "3:00:00", "0o7", "null", "~", "", "2020-01-01", "1_000", "=", "<<", ".5", "-",
         "é\n x", "\x85", "a: b", "# c", " x ", "true", "0x1f", "1.2.3", ".nan", "\u2028", "*a", "!!s"]  # fmt: skip
keys = st.text(min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(TEXTS)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12)


@pytest.mark.parametrize("reader", [read_yaml, lambda path: yaml.safe_load(path.read_bytes())])
def test_texts_stay_texts_for_readers_of_both_versions(tmp_path: Path, reader) -> None:
    path = write_yaml(tmp_path / "a.yaml", {"texts": TEXTS, **dict.fromkeys(TEXTS, 1)})
    assert reader(path) == {"texts": TEXTS, **dict.fromkeys(TEXTS, 1)}


@given(st.dictionaries(keys, values, max_size=6))
def test_what_is_written_comes_back(tmp_path_factory, mapping) -> None:
    path = write_yaml(tmp_path_factory.mktemp("y") / "a.yaml", mapping)
    assert repr(read_yaml(path)) == repr(mapping)


def test_arrays_paths_and_bytes_become_plain(tmp_path: Path) -> None:
    given = {"a": np.float32(0.5), "b": np.arange(3), "c": Path("x/y"), "d": b"m", "e": (np.bool_(True), None),
             "f": np.datetime64("2020-01-01"), "g": math.inf, 1: {2: np.array(7)}}  # fmt: skip
    found = read_yaml(write_yaml(tmp_path / "a.yaml", given))
    assert found == {"a": 0.5, "b": [0, 1, 2], "c": str(Path("x/y")), "d": "m", "e": [True, None], "f": "2020-01-01",
                     "g": math.inf, "1": {"2": 7}}  # fmt: skip


def test_words_mean_what_the_newer_version_says(tmp_path: Path) -> None:
    text = "a: 3:00:00\nb: no\nc: 1e-5\nd: 2024-05-01T10:20:30.1234567Z\ne: ~\nf:\ng: -3\nh: True\n20240101: 007\n"
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == {
        "a": "3:00:00", "b": "no", "c": 1e-5, "d": "2024-05-01T10:20:30.1234567Z", "e": None, "f": None, "g": -3,
        "h": True, "20240101": "007",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is here again, after line 1"),
        ("b:\n  x: 1\n  x: 1\n", "line 3: the key 'x'"),
        ("a: !!python/tuple [1, 2]\n", "line 1: the tag !!python/tuple is not read"),
        ("\na: !!python/object/apply:os.system ['touch ran']\n", "line 2: the tag !!python/object/apply:os.system"),
        ("a: !!python/name:os.system\n", "line 1: the tag !!python/name:os.system"),
        ("a: !!set {x}\n", "line 1: the tag !!set"),
        ("a: !mine 1\n", "line 1: the tag !mine"),
        ("a: [1,\n", "line 2"),
        ("a: 1: 2\n", "line 1: mapping values"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("- 1\n", "holds a list"),
        ("5\n", "holds a int"),
        ("a: &x {b: *x}\n", "recursive"),
        ("? {a: 1}\n: 2\n", "a key must be a word"),
        ("a: " + "[" * 3000, "nested without end"),
        ("a: " + "9" * 5000, "impossible value"),
        ("a: \xff", "is no YAML text"),
        ("a: \x00", "is no YAML text"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, text: str, said: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError) as error:
        read_yaml(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert os.listdir(tmp_path) == ["broken.yaml"]  # nothing ran


def test_a_refused_value_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "a.yaml", {"a": 1})
    with pytest.raises(FormatError, match=r"a\.yaml cannot be written: x\.y\[1\] is a object"):
        write_yaml(path, {"x": {"y": [1, object()]}})
    assert read_yaml(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_complex_numbers_and_sets_have_no_plain_form() -> None:
    for value in (1j, {1, 2}, np.array([1j])):
        with pytest.raises(FormatError):
            plain({"a": value})


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "a.yaml") == {}
