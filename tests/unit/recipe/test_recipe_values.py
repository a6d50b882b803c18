"""What recipes are made of: keywords as values, TOML, and values against annotations."""

from __future__ import annotations

import datetime
import pickle
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelarray.errors import RecipeError
from reelarray.recipe import toml
from reelarray.recipe.keywords import Keywords
from reelarray.recipe.values import expected, fits, keywords_of, required, takes_any

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.just(float("inf"))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3))


@given(st.dictionaries(texts, values, max_size=5))
def test_toml_says_what_it_was_given(content):
    read = tomllib.loads(toml.table("[input]", content))["input"]
    assert Keywords(read) == Keywords(content)
    assert repr(read) == repr(content), "also the kinds of numbers"


@given(st.dictionaries(texts, values, max_size=5))
def test_keywords_are_values(content):
    a, b = Keywords(content), Keywords(dict(reversed(content.items())))
    assert a == b
    assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a
    assert Keywords(a.plain()) == a
    assert a != Keywords({**content, "one more": 1})


def test_keywords_tell_kinds_of_numbers_apart():
    assert len({Keywords({"a": value}) for value in (1, 1.0, True, "1", [1])}) == 5


def test_keywords_cannot_be_changed_from_outside():
    inner = {"time": [1, 2]}
    a = Keywords({"chunk": inner})
    inner["time"].append(3)
    assert a.plain() == {"chunk": {"time": [1, 2]}}
    a.plain()["chunk"]["time"].append(3)
    assert a.plain() == {"chunk": {"time": [1, 2]}}
    with pytest.raises(TypeError):
        a["chunk"] = 3


def test_what_a_notebook_has_at_hand_becomes_plain():
    a = Keywords(
        {
            "path": Path("/data"),
            "n": np.int64(3),
            "quantile": np.array([0.5, 0.9]),
            "begin": datetime.datetime(2022, 3, 1, tzinfo=datetime.UTC),
            "day": datetime.date(2022, 3, 1),
        }
    )
    assert a.plain() == {
        "path": "/data",
        "n": 3,
        "quantile": [0.5, 0.9],
        "begin": "2022-03-01T00:00:00+00:00",
        "day": "2022-03-01",
    }


@pytest.mark.parametrize("value", [None, print, 1j, b"bytes", [None]])
def test_what_no_recipe_can_say_is_refused_by_its_name(value):
    with pytest.raises(RecipeError, match=r"every=.*was given"):
        Keywords({"every": value})


@pytest.mark.parametrize(
    ("value", "annotation", "fit"),
    [
        (1, int, True),
        (1.0, int, False),
        (True, int, False),
        (1, float, True),
        (True, float, False),
        ("1", float, False),
        (1, bool, False),
        ("a", str, True),
        (1, str, False),
        ("constant", Literal[False, "constant"], True),
        (False, Literal[False, "constant"], True),
        (0, Literal[False, "constant"], False),
        ("linear", Literal[False, "constant"], False),
        (1, int | None, True),
        ("x", int | None, False),
        ((1, 2), Sequence[int], True),
        ((1, "a"), Sequence[int], False),
        ("ab", Sequence[str], False),
        ((1, 2), tuple[int, int], True),
        ((1, 2, 3), tuple[int, int], False),
        ((1, 2, 3), tuple[int, ...], True),
        (Keywords({"time": 1}), int | Mapping[Any, int] | None, True),
        (3, Mapping[Any, int], False),
        ({"any": "thing"}, Any, True),
        ((1, 2), np.ndarray, True),  # for the function to judge
    ],
)
def test_values_fit_annotations(value, annotation, fit):
    assert fits(value, annotation) is fit


def test_expectations_are_said_in_words():
    assert expected(int | Sequence[int] | None) == "a whole number or a list"
    assert expected(Literal["auto"] | int) == "'auto' or a whole number"
    assert expected(Mapping[str, int]) == "a table"
    assert expected(tuple[int, int]) == "a list of 2"


def test_signatures_are_read():
    def step(x, a, b: int = 2, *, c: "Unknown" = None, **more):  # noqa: F821, UP037
        return x

    assert set(keywords_of(step)) == {"a", "b", "c"}
    assert required(step) == ["a"]
    assert takes_any(step)
