"""Where a recorder was: a pair, an area, or a csv track, to attributes of a recording."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from reelarray.errors import RecordingError

_EXPECTED = (
    "expected (lat, lon), an area ((lat1, lat2), (lon1, lon2)), both in degrees, or the path of a csv file with "
    "columns lat and lon"
)


def position_attrs(position: Any) -> dict[str, Any]:
    """Position -> JSON attributes: latitude and longitude in degrees, and the area or track that they are the mean of.

    Raises
    ------
    RecordingError : anything else than a pair, an area or a csv file, or numbers that are no degrees

    >>> position_attrs(((48.0, 50.0), (-5.0, -3.0)))
    {'latitude': 49.0, 'longitude': -4.0, 'area': [[48.0, 50.0], [-5.0, -3.0]]}
    """
    if isinstance(position, str | os.PathLike):
        track = _track(Path(position))
        latitude, longitude = (sum(values) / len(values) for values in zip(*track, strict=True))
        return {"latitude": latitude, "longitude": longitude, "track": [list(point) for point in track]}
    if _is_pair(position):
        first, second = position
        if _is_number(first) and _is_number(second):
            latitude, longitude = _degrees(first, second, repr(position))
            return {"latitude": latitude, "longitude": longitude}
        if _is_pair(first) and _is_pair(second) and all(map(_is_number, [*first, *second])):
            corners = [_degrees(lat, lon, repr(position)) for lat, lon in zip(first, second, strict=True)]
            (lat1, lon1), (lat2, lon2) = corners
            area = [[lat1, lat2], [lon1, lon2]]
            return {"latitude": (lat1 + lat2) / 2, "longitude": (lon1 + lon2) / 2, "area": area}
    raise RecordingError(f"position={position!r} was given; {_EXPECTED}")


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == 2


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _degrees(lat: Any, lon: Any, shown: str) -> tuple[float, float]:
    latitude, longitude = float(lat), float(lon)
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 360):
        raise RecordingError(
            f"position {shown}: latitude {latitude:g}, longitude {longitude:g} are no degrees; {_EXPECTED}"
        )
    return latitude, longitude


def _track(path: Path) -> list[tuple[float, float]]:
    if not path.is_file():
        raise RecordingError(f"position={str(path)!r} is no file; {_EXPECTED}")
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = {name.strip().lower(): name for name in reader.fieldnames or ()}
        if not {"lat", "lon"} <= set(names):
            raise RecordingError(f"{path} has columns {', '.join(names) or 'none'}; {_EXPECTED}")
        track = []
        for row in reader:
            try:
                point = float(row[names["lat"]]), float(row[names["lon"]])
            except (TypeError, ValueError):
                raise RecordingError(
                    f"{path}, line {reader.line_num}: {row} has no numbers in lat and lon; {_EXPECTED}"
                ) from None
            track.append(_degrees(*point, f"in {path}, line {reader.line_num}"))
    if not track:
        raise RecordingError(f"{path} has no rows; {_EXPECTED}")
    return track
