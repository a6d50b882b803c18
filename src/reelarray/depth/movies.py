"""The preview of an extraction: crops and heights in colour, encoded beside the computation."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Self

import numpy as np

from ..errors import RecordingError
from .encoding import FilmWriter

__all__ = ["Beside", "FilmWriter", "Preview", "colours", "pictures"]

_AHEAD = 2  # blocks that wait for the encoder; more would only be memory
_LOOK = 0.1  # seconds between two looks at whether the encoder still lives
_BATCH = 8  # frames that are coloured at once, so that they stay in the cache

# Digits of 5 x 7 pixels, a row of them as five bits.
_DIGITS = (
    (14, 17, 19, 21, 25, 17, 14), (4, 12, 4, 4, 4, 4, 14), (14, 17, 1, 2, 4, 8, 31), (31, 2, 4, 2, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2), (31, 16, 30, 1, 1, 17, 14), (6, 8, 16, 30, 17, 17, 14), (31, 1, 2, 4, 8, 8, 8),
    (14, 17, 17, 14, 17, 17, 14), (14, 17, 17, 15, 1, 2, 12),
)  # fmt: skip
_ADVANCE = 6  # pixels from a digit to the next
_TEXT_ROW, _TEXT_COLUMN = 5, 40  # from the top, and from the right: room for six digits
# Brightness and both colour differences of red, green and blue within [0, 1], 8 bits (ITU-R BT.601, 2.5.1 to 2.5.3), as
# films have them: 16 ... 235 for brightness, 128 for no colour.
_FILM = np.array([(65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)])
_OFFSET, WHITE, GRAY = (16, 128, 128), 235, 128


@lru_cache(maxsize=4)
def colours(minimum: int, maximum: int) -> np.ndarray:
    """Colours of the heights 0 ... maximum [mm]: (maximum + 1, 3) uint8, red, green and blue.

    A height v = (height - minimum) / (maximum - minimum), within [0, 1], has one of 256 colours, those of the middles
    w = (k + 1/2) / 256: red is 3/2 - |4 w - 3|, green 3/2 - |4 w - 2|, blue 3/2 - |4 w - 1|, each within [0, 1]. This
    is the map known as jet: from dark blue over cyan, yellow and red to dark red.

    >>> colours(10, 120)[[0, 65, 120]].tolist()
    [[0, 0, 129], [129, 255, 126], [129, 0, 0]]
    """
    middles = (np.arange(256) + 0.5) / 256
    jet = np.stack([np.clip(1.5 - abs(4 * middles - peak), 0, 1) for peak in (3, 2, 1)], axis=1)
    share = np.clip((np.arange(maximum + 1) - minimum) / (maximum - minimum), 0, 1)
    table = np.rint(jet * 255).astype(np.uint8)[np.minimum((share * 256).astype(int), 255)]
    table.flags.writeable = False
    return table


@lru_cache(maxsize=4)
def film_colours(minimum: int, maximum: int) -> np.ndarray:
    """The same as films have them: brightness and both colour differences, (3, maximum + 1) uint8.

    >>> film_colours(10, 120)[:, [0, 65, 120]].tolist()
    [[29, 190, 49], [185, 90, 109], [119, 82, 185]]
    """
    table = np.rint(_FILM @ (colours(minimum, maximum).T / 255.0) + np.array(_OFFSET)[:, None]).astype(np.uint8)
    table.flags.writeable = False
    return table


def pictures(
    crops: np.ndarray, heights: np.ndarray, numbers: np.ndarray, *, minimum: int, maximum: int, reduce: int = 1
) -> np.ndarray:
    """Pictures of a preview: crops (frames, a, b) and heights (frames, y, x) [mm] -> (frames, 3 (y + a) / 2, x + b).

    uint8 as an encoder takes them (yuv420p), which saves it the way from red, green and blue, half of its work: rows of
    brightness, then each colour difference at every other pixel of every other row.

    Crops stand in the upper left corner, heights in the lower right one, the number of each frame in white in the upper
    right one. Sizes are made even by a line of nothing.

    Parameters
    ----------
    numbers : of the frames
    minimum, maximum : heights of the first and last colour [mm]
    reduce : every so many pixels are shown, in both directions
    """
    frames, rows, columns = len(crops), *heights.shape[1:]
    high, wide = (a + b for a, b in zip(crops.shape[1:], heights.shape[1:], strict=True))
    size = tuple(-(-side // reduce) for side in (high, wide))
    tall, broad = (side + side % 2 for side in size)
    canvas = np.zeros((tall, broad), heights.dtype)
    whole = np.zeros((high, wide), heights.dtype)
    out = np.empty((frames, tall * 3 // 2, broad), np.uint8)
    brightness, *differences = planes(out)
    tables = film_colours(minimum, maximum)
    for k in range(frames):
        whole[: crops.shape[1], : crops.shape[2]] = crops[k]
        whole[high - rows :, wide - columns :] = heights[k]
        canvas[: size[0], : size[1]] = whole[::reduce, ::reduce]
        np.take(tables[0], canvas, out=brightness[k], mode="clip")  # higher than the maximum is the maximum
        for plane, table in zip(differences, tables[1:], strict=True):
            np.take(table, canvas[::2, ::2], out=plane[k], mode="clip")
        _draw(brightness[k], [plane[k] for plane in differences], int(numbers[k]))
    return out


def planes(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views of pictures (frames, 3 y / 2, x): brightness (frames, y, x), colour differences (frames, y / 2, x / 2)."""
    frames, rows, broad = pictures.shape
    tall = rows * 2 // 3
    first, second = np.split(pictures.reshape(frames, -1)[:, tall * broad :], 2, axis=1)
    half = frames, tall // 2, broad // 2
    return pictures[:, :tall], first.reshape(half), second.reshape(half)


def _draw(brightness: np.ndarray, differences: list[np.ndarray], number: int) -> None:
    """Write a number in white, its upper left corner at the place that the text has."""
    for place, digit in enumerate(str(number)):
        column = max(brightness.shape[1] - _TEXT_COLUMN, 0) + place * _ADVANCE
        shape = np.array([[bits >> 4 - k & 1 for k in range(5)] for bits in _DIGITS[int(digit)]], bool)
        space = brightness[_TEXT_ROW : _TEXT_ROW + 7, column : column + 5]
        y, x = np.nonzero(shape[: space.shape[0], : space.shape[1]])
        space[y, x] = WHITE
        for plane in differences:
            plane[(y + _TEXT_ROW) // 2, (x + column) // 2] = GRAY


class Preview:
    """Writes the movie of an extraction; colours and encodes in a thread of its own, so that nothing waits for it.

    What the encoder refuses is raised by a later `write`, or at the end of the `with`, which waits until all is
    written. After an error nothing is left.

    Parameters
    ----------
    path : `.mp4`, or `.mkv`
    heights, crops : sizes (rows, columns) of the crop of the arena and of that of the animal
    rate : frames a second of the recording [Hz]
    minimum, maximum : heights of the first and last colour [mm]
    every : one frame of so many is shown, at a rate as much lower: the movie lasts as long as the recording
    reduce : every so many pixels are shown, in both directions

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Preview(f"{folder}/results_00.mp4", (60, 80), (20, 20), 30, every=2) as preview:
    ...         preview.write(np.zeros((5, 20, 20), np.uint8), np.full((5, 60, 80), 40, np.uint8))
    ...     os.listdir(folder), preview.frames
    (['results_00.mp4'], 3)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        heights: tuple[int, int],
        crops: tuple[int, int],
        rate: Fraction | float,
        *,
        minimum: int = 10,
        maximum: int = 120,
        every: int = 1,
        reduce: int = 1,
    ) -> None:
        if every < 1 or reduce < 1 or not 0 <= minimum < maximum:
            raise RecordingError(
                f"{path}: every={every}, reduce={reduce}, minimum={minimum}, maximum={maximum} were given; whole "
                "numbers of 1 or more, and 0 <= minimum < maximum [mm] were expected"
            )
        high, wide = (-(-(a + b) // reduce) for a, b in zip(heights, crops, strict=True))
        self._film = FilmWriter(path, wide + wide % 2, high + high % 2, Fraction(rate) / every, codec="h264", threads=1)
        self._shapes = tuple(crops), tuple(heights)
        self._colours = {"minimum": minimum, "maximum": maximum, "reduce": reduce}
        self._every, self._next = every, 0
        self._beside: Beside | None = None

    @property
    def frames(self) -> int:
        """How many are encoded."""
        return self._film.frames

    def write(self, crops: np.ndarray, heights: np.ndarray) -> None:
        """The next frames: crops (frames, a, b) and heights (frames, y, x) [mm], uint8 or uint16. Both are copied."""
        if self._beside is None:
            raise RecordingError(f"{self._film.path} is not open; write inside `with Preview(...) as preview:`")
        found = crops.shape[1:], heights.shape[1:]
        if found != self._shapes or len(crops) != len(heights):
            raise RecordingError(
                f"{self._film.path}: crops {crops.shape} and heights {heights.shape} were given, as many frames of "
                f"{self._shapes[0]} and {self._shapes[1]} were expected"
            )
        first = -self._next % self._every
        numbers = np.arange(self._next + first, self._next + len(crops), self._every)
        self._next += len(crops)
        if len(numbers):
            self._beside.put(crops[first :: self._every].copy(), heights[first :: self._every].copy(), numbers)

    def _encode(self, crops: np.ndarray, heights: np.ndarray, numbers: np.ndarray) -> None:
        for k in range(0, len(numbers), _BATCH):
            some = slice(k, k + _BATCH)
            self._film.write(pictures(crops[some], heights[some], numbers[some], **self._colours))

    def __enter__(self) -> Self:
        self._film.__enter__()
        self._beside = Beside(self._encode)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        assert self._beside is not None
        try:
            if error is None:
                self._beside.close()
        except BaseException as refused:
            self._beside.stop()
            self._film.__exit__(type(refused), refused, refused.__traceback__)
            raise
        self._beside.stop()
        self._film.__exit__(kind, error, trace)


class Beside:
    """Calls `act` on one thing after the other in a thread of its own, a few of them behind; see `put` and `close`."""

    def __init__(self, act: Callable[..., None], *, ahead: int = _AHEAD) -> None:
        self._act, self._queue, self._stopped = act, Queue(maxsize=ahead), Event()  # type: ignore[var-annotated]
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="reelarray-movie", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                things = self._queue.get(timeout=_LOOK)
            except Empty:
                continue
            if things is None:
                return
            try:
                self._act(*things)
            except BaseException as error:  # the caller's thread raises it
                self._error = error
                self._stopped.set()

    def put(self, *things: Any) -> None:
        """Hand over the arguments of one call; waits where too many are behind. Raises what an earlier call raised."""
        while not self._stopped.is_set():
            try:
                self._queue.put(things, timeout=_LOOK)
                return
            except Full:
                continue
        self._raise()

    def close(self) -> None:
        """Wait until all is done. Raises what a call raised."""
        while not self._stopped.is_set() and self._thread.is_alive():
            try:
                self._queue.put(None, timeout=_LOOK)
                break
            except Full:
                continue
        self._thread.join()
        self._stopped.set()
        self._raise()

    def stop(self) -> None:
        """End without what is still behind."""
        self._stopped.set()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
