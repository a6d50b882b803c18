"""The files beside a film that belong to it, for a copy of some of its frames: their times, and the metadata."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ClockError, FormatError
from ..formats.depth.session import METADATA
from ..formats.depth.stamps import FILES, find_stamps, read_stamps
from ..sinks.journal import OutputExists

log = logging.getLogger(__name__)

STATED = "depth_ts.txt"  # the file that is written of times that are in a container
NAMES = (*FILES, METADATA)
# StartTime has seven decimals: ISO 8601, to 100 ns
_START = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(.*)")


def companions(
    folder: Path,
    frames: int,
    start: int,
    stop: int,
    *,
    times: np.ndarray | None,
    metadata: Mapping[str, Any] | None,
    changes: Mapping[str, Any],
) -> dict[str, bytes]:
    """Contents of the files that belong beside the frames [start, stop) of a film, by their names.

    Lines of times are copied as they are. `StartTime` moves on by as much as the camera had counted at the first frame.

    Parameters
    ----------
    folder : of the film
    frames : of the whole film
    times : of all frames [ms], written where the folder has no file of times
    metadata : taken where the folder has none
    changes : what the metadata of the copy say instead

    Raises
    ------
    ClockError : as many times as frames were expected
    FormatError : metadata that are no JSON object, times that are no numbers
    """
    out: dict[str, bytes] = {}
    moved = 0.0
    if (stamps := find_stamps(str(folder))) is not None:
        times = read_stamps(stamps)
        lines = [line for line in Path(stamps).read_text("utf-8-sig", "replace").splitlines() if line.strip()]
        names = len(lines) - len(times)  # 1 where the first line names the columns
        out[Path(stamps).name] = "".join(f"{line}\n" for line in lines[:names] + lines[names:][start:stop]).encode()
    elif times is not None:
        out[STATED] = stamps_text(times[start:stop])
    if times is not None:
        if len(times) != frames:
            raise ClockError(
                f"{stamps}: {len(times)} times were found, {frames} were expected, one for each frame, so that it is "
                "not known which belong to the copy; correct that file, or move it away"
            )
        moved = float(times[start] - times[0])
    said = read_metadata(folder)
    said = said if said is not None or metadata is None else dict(metadata)
    if said is not None:
        out[METADATA] = json_bytes(_moved(dict(said), moved, folder) | dict(changes))
    return out


def stamps_text(times: np.ndarray) -> bytes:
    """A file of times [ms], of times that no file has yet."""
    return "".join(f"{float(ms)!r} 0\n" for ms in times).encode()


def read_metadata(folder: Path) -> dict[str, Any] | None:
    """`metadata.json` of a folder, None where there is none."""
    path = folder / METADATA
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise FormatError(f"{path} is no JSON ({error}); correct it, or move it away") from None
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds {type(found).__name__}, an object was expected; correct it, or move it away")
    return found


def json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def check_folder_free(target: Path, wanted: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Raise `OutputExists` where a folder has times or metadata that would be taken for those of the copy."""
    for name in NAMES:
        there = target / name
        if not there.exists() or there.read_bytes() == wanted.get(name):
            continue
        if not overwrite or name not in wanted:
            raise OutputExists(
                f"{there} is there already and belongs to something else; it would be taken for that of the copy: "
                "write to a folder of its own"
                + (", or pass overwrite=True to replace it" if name in wanted and not overwrite else "")
            )


def _moved(said: dict[str, Any], ms: float, folder: Path) -> dict[str, Any]:
    begun = said.get("StartTime")
    if not ms or not begun:
        return said
    found = _START.fullmatch(str(begun))
    if found is None:
        log.warning("%s: StartTime %r is not understood; the copy keeps it as it is", folder / METADATA, begun)
        return said
    return said | {"StartTime": later(str(begun), ms)}


def later(begun: str, ms: float) -> str:
    """A time of ISO 8601 with any number of decimals, so many milliseconds later, to 100 ns.

    >>> later("2024-05-06T07:08:59.9999999+02:00", 0.1001)
    '2024-05-06T07:09:00.0001000+02:00'
    """
    found = _START.fullmatch(begun)
    if found is None:
        raise FormatError(f"{begun!r} was given, a time such as 2024-05-06T07:08:09.1234567+00:00 was expected")
    whole, decimals, zone = found.groups()
    ticks = int((decimals or ".")[1:8].ljust(7, "0")) + round(ms * 10_000)
    moved = datetime.fromisoformat(whole) + timedelta(seconds=ticks // 10**7)
    return f"{moved.isoformat(timespec='seconds')}.{ticks % 10**7:07d}{zone}"
