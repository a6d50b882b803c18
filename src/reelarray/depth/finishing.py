"""The last step of an extraction: one file of all blocks, and a preview made beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .. import graph
from . import kernels
from .extract import Steps
from .heights import heights
from .movies import Preview
from .results import Extraction, ResultsFile
from .scene import camera_of
from .stages import CUT, SEEN, Stages
from .status import count_flags

_SHOWN = 20  # frames that a preview reads at once: new memory of a whole block costs more than reading it


def write_file(
    stages: Stages, path: Path, uuid: str, metadata: Mapping[str, Any], lap: Callable[[str], None]
) -> dict[str, int]:
    """The one file of all blocks, in order, and the preview beside it; gives counts of flagged frames.

    Parameters
    ----------
    stages : with all their blocks
    path : of the results, by any suffix
    uuid, metadata : of the extraction, and of its recording
    lap : called with the name of each step that is done
    """
    steps = stages.steps
    pose, flips = stages.pose()
    numbers = steps.scalars(stages.vectors(CUT if steps.in_two else SEEN), pose).values
    lap("vectors")
    flags = pose.values["flags"]
    look, o = steps.look, steps.options
    found = steps.scene
    first = o["frame_trim"][0]
    facts = Extraction(
        found["background"].values,
        found["roi"].values,
        found["first_frame"].values,
        first,
        first + len(flags),
        float(found.attrs["true_depth"]),
        (steps.arena.box[2], steps.arena.box[0]),
        {"plane": found["plane"].values, "camera": json.dumps(dataclasses.asdict(camera_of(found)))},
    )
    with ExitStack() as stack:
        movie = _preview(stack, steps, path.with_suffix(".mp4"))
        file = stack.enter_context(
            ResultsFile(
                path.with_suffix(".h5"),
                frames=len(flags),
                crop_size=look.crop_size,
                frame_dtype=look.dtype,
                mask_dtype="f4" if steps.tracking else "?",
                uuid=uuid,
                acquisition=metadata,
                extraction=facts,
                parameters=o,
                timestamps=steps.times,
                flips=flips is not None,
                flags=True,
            )
        )
        turn = kernels.Turn(look.compat)
        for start, records in stages.images():
            rows = slice(start, start + len(records))
            crops, mask = (turn.one(records[name], pose.values[rows]) for name in ("frames", "mask"))
            file.write(
                start,
                crops,
                mask,
                {name: numbers[name][rows] for name in numbers.dtype.names or ()},
                flips=None if flips is None else flips.values[rows],
                flags=flags[rows],
            )
            if movie is not None:
                _show(movie, steps, crops, rows, o["preview_every"])
    lap("file")
    return count_flags(flags)


def _preview(stack: ExitStack, steps: Steps, path: Path) -> Preview | None:
    if not steps.options["write_movie"]:
        return None
    look = steps.look
    every = steps.options["preview_every"]
    size = steps.arena.inside.shape
    how = {"minimum": look.minimum, "maximum": look.maximum, "every": every}
    return stack.enter_context(Preview(path, (size[0], size[1]), look.crop_size, steps.rate, **how))


def _show(movie: Preview, steps: Steps, crops: np.ndarray, rows: slice, every: int) -> None:
    """The frames of a block that are shown, a few at a time; of others nothing is read."""
    shown = np.arange(rows.start, rows.stop)
    shown = shown[shown % every == 0]
    arena, look, table = steps.arena, steps.look, graph.rows(steps.rec.data)
    assert table is not None  # it was opened from a file
    raw = np.zeros((len(crops), *arena.inside.shape), look.dtype)
    limits: dict[str, Any] = {"minimum": look.minimum, "maximum": look.maximum, "dtype": look.dtype}
    floor, together = np.floor(arena.floor), max(1, _SHOWN // every)
    for some in (shown[k : k + together] for k in range(0, len(shown), together)):
        frames = table.read(int(some[0]), int(some[-1]) + 1)[::every]
        raw[some - rows.start] = heights(arena.within(frames), floor, arena.inside, arena.box, **limits)
    movie.write(crops, raw)
