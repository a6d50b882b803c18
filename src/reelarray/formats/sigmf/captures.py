"""Captures and annotations of SigMF: where the samples of each lie, and when they were taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...errors import FormatError
from ...exact import NANOSECONDS
from .document import Fields, Time

# Ours, for gaps that are no whole number of samples, and for recordings without a start: ns since the first sample.
SINCE = "reelarray:nanoseconds"
LATEST = 2**62  # ns, of what a clock of 64 bits tells
_ALL = 2**63


@dataclass(frozen=True)
class Capture:
    """Frames [start, stop) of the dataset, the byte of the first, and what is said of them.

    `number` counts the captures in the file; `at` is the frame that its times are those of, `start` but for the first
    capture where frames come before it. Nothing carries over from one capture to the next.
    """

    number: int
    at: int
    start: int
    stop: int
    byte: int
    frequency: float | None
    time: Time | None
    index: int | None
    since: int | None
    fields: Fields


@dataclass(frozen=True)
class Laid:
    """Captures that have frames, how many frames there are, and what is odd."""

    captures: tuple[Capture, ...]
    frames: int
    flags: tuple[str, ...]


def lay_captures(fields: Sequence[Fields], offset: int, block: int, begin: int, end: int, path: str) -> Laid:
    """Where the frames of each capture lie, of data from byte `begin` to byte `end`, `block` bytes a frame.

    Byte of frame n of capture c: begin + sum of `core:header_bytes` of captures 0 to c + n * block. `core:offset` is
    the number of the first frame of the dataset. Frames before the first capture count to it.

    Raises `FormatError` for captures out of order.
    """
    if not fields:  # "implied that a single capture exists"
        fields = [Fields({"core:sample_start": offset}, "the only capture", path)]
    starts: list[int] = []
    for each in fields:
        each.required("core:sample_start")
        start = each.integer("core:sample_start", least=offset)
        if start is None:
            each.wrong("core:sample_start", "a whole number")
        if starts and start - offset < starts[-1]:
            raise FormatError(
                f"{path}: {each.where} starts at sample {start}, before the capture that it follows "
                f"({starts[-1] + offset}); SigMF's captures are in order of 'core:sample_start': correct the file"
            )
        starts.append(start - offset)
    captures, header, frames, cut = [], 0, 0, False
    for number, each in enumerate(fields):
        header += each.integer("core:header_bytes") or 0
        start = starts[number] if number else 0
        byte = begin + header + start * block
        there = max(0, end - byte) // block
        stop = start + there
        if number + 1 < len(starts):
            cut = stop < starts[number + 1]
            stop = min(stop, starts[number + 1])
        if stop > start:
            captures.append(_capture(number, starts[number], start, stop, byte, each))
        frames = max(frames, stop)
        if cut:
            return Laid(tuple(captures), frames, ("truncated",))
    if end < byte:  # not even what belongs around the samples is there
        return Laid(tuple(captures), frames, ("truncated",))
    return Laid(tuple(captures), frames, ("partial_frame",) if (end - byte) % block else ())


def _capture(number: int, at: int, start: int, stop: int, byte: int, fields: Fields) -> Capture:
    frequency, time = fields.number("core:frequency"), fields.time("core:datetime")
    index, since = fields.integer("core:global_index"), fields.integer(SINCE)
    return Capture(number, at, start, stop, byte, frequency, time, index, since, fields)


@dataclass(frozen=True)
class Placed:
    """When frames were taken: frame `frame` came `ns` after the first one of all, for each (frame, ns), and so on.

    The first pair is (0, 0), each other one begins after a gap. `start_ns` is the UTC time of frame 0, None where no
    capture states a time. `backward` says that captures overlap in time by their own account, which counts for nothing
    then.
    """

    anchors: tuple[tuple[int, int], ...]
    start_ns: int | None
    rate: Fraction
    backward: bool = False

    def ns(self, frame: int) -> int:
        """ns from frame 0 to any frame."""
        at, ns = self.anchors[bisect_right(self.anchors, (frame, _ALL)) - 1]
        return ns + _lasts(frame - at, self.rate)


def place(captures: Sequence[Capture], rate: Fraction) -> Placed:
    """When each capture was taken: by its `core:global_index`, or else its `core:datetime`, or else right after.

    A gap is more than half a sample, and more than the last digit of a datetime tells.
    """
    half = max(1, _lasts(1, rate) // 2)
    anchors = [(0, 0)]
    counted: tuple[int, int] | None = None  # the first index that is stated, and its ns
    dated: tuple[Time, int] | None = None
    for k, capture in enumerate(captures):
        goes_on = anchors[-1][1] + _lasts(capture.at - anchors[-1][0], rate)
        time, tolerance = goes_on, half
        if k and capture.since is not None:
            time, tolerance = capture.since, -1  # what we wrote is exact
        elif k and capture.index is not None and counted is not None:
            time = counted[1] + _lasts(capture.index - counted[0], rate)
        elif k and capture.time is not None and dated is not None:
            time = dated[1] + capture.time.ns - dated[0].ns
            tolerance = max(half, capture.time.digit, dated[0].digit)
        if time < goes_on - max(tolerance, 0):
            start = next((c.time.ns - _lasts(c.at, rate) for c in captures if c.time is not None), None)
            return Placed(((0, 0),), start, rate, backward=True)
        if time > goes_on + tolerance:
            anchors.append((capture.at, time))
        else:
            time = goes_on
        if counted is None and capture.index is not None:
            counted = capture.index, time
        if dated is None and capture.time is not None:
            dated = capture.time, time
    return Placed(tuple(anchors), None if dated is None else dated[0].ns - dated[1], rate)


def _lasts(frames: int, rate: Fraction) -> int:
    return frames * NANOSECONDS * rate.denominator // rate.numerator


@dataclass(frozen=True)
class Part:
    """What is opened: all captures, or one of them; frames [first, stop) of the dataset."""

    captures: tuple[Capture, ...]
    first: int
    stop: int
    flags: tuple[str, ...]
    placed: Placed  # counts from `first`


def choose_part(laid: Laid, rate: Fraction, capture: int | None) -> Part | None:
    """All captures in their order of time, or the one with that number: None where no frame of it is there."""
    placed = place(laid.captures, rate)
    if capture is None:
        return Part(laid.captures, 0, laid.frames, laid.flags + ("time_order",) * placed.backward, placed)
    chosen = next((each for each in laid.captures if each.number == capture), None)
    if chosen is None:
        return None
    start = chosen.time.ns if chosen.time is not None else None
    if start is None and placed.start_ns is not None and not placed.backward:
        start = placed.start_ns + placed.ns(chosen.at)
    flags = laid.flags if chosen is laid.captures[-1] else ()
    return Part((chosen,), chosen.at, chosen.stop, flags, Placed(((0, 0),), start, rate))


def annotations_of(document: Fields, part: Part, offset: int, *, cut: bool) -> list[dict[str, Any]]:
    """Annotations of a part, whose first frame is number 0 then, and their times since that, under `SINCE`.

    With `cut` they end with the part. One without `core:sample_count` gets that of the rest of its capture, as the
    specification has it.
    """
    kept = []
    for each in document.objects("annotations"):
        each.required("core:sample_start")
        start = each.integer("core:sample_start", least=offset)
        if start is None:
            each.wrong("core:sample_start", "a whole number")
        start -= offset
        count = each.integer("core:sample_count")
        if count is None:
            count = max(0, next((c.stop for c in part.captures if c.stop > start), start) - start)
        low, high = start, start + count
        if cut:
            low, high = max(low, part.first), min(high, part.stop)
            if low > high or (low == high and count):
                continue  # none of its frames is among these
        low, high = low - part.first, high - part.first
        begin = part.placed.ns(low)
        end = part.placed.ns(high - 1) + max(1, _lasts(1, part.placed.rate)) if high > low else begin
        times = {SINCE: [min(begin, LATEST), min(end, LATEST)]}
        kept.append({**each.values, "core:sample_start": low, "core:sample_count": high - low, **times})
    return kept
