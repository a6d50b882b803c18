"""Positions: a pair, an area, a track; anything else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reelarray.catalog import position_attrs
from reelarray.errors import RecordingError


def test_a_pair():
    assert position_attrs((48.5, -5)) == {"latitude": 48.5, "longitude": -5.0}
    json.dumps(position_attrs([np.float32(48.5), np.int64(-5)]))


def test_a_track_keeps_its_points(tmp_path):
    path = tmp_path / "track.csv"
    path.write_text("time,Lat,lon\n1,48,-5\n2,50,-4\n")
    assert position_attrs(path) == {"latitude": 49.0, "longitude": -4.5, "track": [[48.0, -5.0], [50.0, -4.0]]}
    assert position_attrs(str(path)) == position_attrs(path)


@pytest.mark.parametrize(
    "position",
    [
        None,
        5,
        (1,),
        (1, 2, 3),
        ("48", "5"),
        (True, False),
        ((1, 2), 3),
        ((1, 2, 3), (4, 5, 6)),
        (91, 0),
        (0, 400),
        (float("nan"), 0),
    ],
)
def test_anything_else_says_what_is_expected(position):
    with pytest.raises(RecordingError, match=r"expected \(lat, lon\), an area"):
        position_attrs(position)


@pytest.mark.parametrize(
    ("text", "says"), [("x,y\n1,2\n", "columns x, y"), ("lat,lon\n", "no rows"), ("lat,lon\n1,east\n", "line 2")]
)
def test_bad_tracks(tmp_path, text, says):
    path = tmp_path / "track.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match=says):
        position_attrs(path)
    with pytest.raises(RecordingError, match="is no file"):
        position_attrs(tmp_path / "none.csv")
