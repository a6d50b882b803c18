"""Which end of a main axis goes ahead: what motion says for it, and where the axis may have been lost.

An unwrapped axis follows the body: head and tail keep their ends while it is seen clearly. So there is one choice to
make for as long as that lasts, and all motion in that time votes for it. Where the axis is lost (no animal, a gap, a
round body, a leap) the ends may have changed places, at a price that falls with the doubt. The choices
that agree best with motion, less the prices of changes, are the most likely path of a hidden Markov chain with two
states. All numbers are logarithms of odds.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from .borders import periods

SECONDS = 0.5  # over which displacement is smoothed: a few steps of a mouse
ODDS = 8.0  # of one body length ahead rather than back, at a run: mice back away for a fraction of it
SLOW = 0.3  # body lengths a second that count half: what the body does on the spot is no way ahead
FAST = 15.0  # body lengths a second that no animal reaches: something else was found
TURN = 6.0  # rad a second: how far an animal may turn unseen
BLUR = 0.1  # of an axis of a body without end, rad; of a rounder one it is larger
LEAST = 0.5  # the lowest price of a change: a bout without motion has no opinion


def motion_odds(
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    *,
    times_ms: np.ndarray | None,
    rate: float,
    max_gap: float,
) -> np.ndarray:
    """How much motion speaks for the head being where the angle points: (n,) each -> (n,) log odds; NaN counts 0.

    Parameters
    ----------
    x, y : position, px
    angle : unwrapped orientation, rad; the direction in the image is -angle
    major : length of the main axis, px; its median is the body length
    times_ms, rate : times of frames, ms (None: all at the rate), and frames a second
    max_gap : frame periods across which displacement says nothing

    Notes
    -----
    The projection of the smoothed displacement on the axis, in body lengths, weighted by v^2 / (v^2 + SLOW^2).
    """
    out = np.zeros(len(x))
    (seen,) = np.nonzero(~np.isnan(x) & ~np.isnan(angle))
    if len(seen) < 2:
        return out
    body = max(float(np.median(major[seen])), 1.0)  # px; a speck of one pixel has no length
    times = _times(len(x), times_ms, rate)[seen]
    went = periods(times, rate)
    right, down = (np.diff(v[seen], prepend=v[seen[:1]]) / body for v in (x, y))
    follows = (went <= max_gap) & (np.hypot(right, down) <= went * (FAST / rate))
    right, down, went = (np.where(follows, v, 0.0) for v in (right, down, went))
    box = np.ones(2 * round(SECONDS * rate / 2) + 1)
    right, down, went = (_around(v, box) for v in (right, down, went))
    went = np.maximum(went, 1)
    right, down = right / went, down / went  # body lengths a period
    ahead = right * np.cos(angle[seen]) - down * np.sin(angle[seen])
    square = (right * right + down * down) * (rate * rate)
    out[seen] = ODDS * ahead * (square / (square + SLOW * SLOW))
    return out


def change_odds(
    angle: np.ndarray, major: np.ndarray, minor: np.ndarray, *, times_ms: np.ndarray | None, rate: float
) -> np.ndarray:
    """What a change of ends before each frame costs: (n,) each -> (n,) log odds; NaN for frames without an animal.

    Notes
    -----
    If the axis turned by a from one frame to the next, it may as well have turned by a - pi. Of normally distributed
    turns with standard deviation s the log of the ratio of both is pi (pi - 2 a) / (2 s^2). s grows with the time
    between the frames, with the roundness of the body (the blur of an axis is that of the moments over their
    difference), and with the turn itself: one that large was no turn.
    """
    out = np.full(len(angle), np.nan)
    (seen,) = np.nonzero(~np.isnan(angle))
    if not len(seen):
        return out
    turn = np.abs(np.diff(angle[seen], prepend=angle[seen[:1]]))
    turn = np.abs(turn - np.pi * np.rint(turn / np.pi))
    long = major[seen]
    round_ = np.minimum(np.divide(minor[seen], long, out=np.ones(len(seen)), where=long > 0), 0.999)
    blur = BLUR / (1 - round_ * round_)
    blur = np.maximum(blur, np.concatenate([blur[:1], blur[:-1]]))
    unseen = periods(_times(len(angle), times_ms, rate)[seen], rate) * (TURN / rate)
    square = unseen * unseen + blur * blur + turn * turn
    out[seen] = np.maximum(np.pi * (np.pi - 2 * turn) / (2 * square), LEAST)
    return out


def likeliest(odds: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Whether the head is at the other end, of every frame: odds, prices of changes (n,) -> (n,) bool.

    Frames without an animal (price NaN) are like those before them. Without any motion nothing is turned.

    Notes
    -----
    Viterbi's algorithm for two states, whose one number is the difference of their scores.

    >>> likeliest(np.array([6, -3, 1, -9, 0.0]), np.array([5, 5, 5, 5, 2.0])).tolist()
    [False, True, True, True, True]
    """
    (seen,) = np.nonzero(~np.isnan(change))
    if not len(seen):
        return np.zeros(len(odds), bool)
    said, price = odds[seen].tolist(), change[seen].tolist()

    def step(before: float, frame: int) -> float:
        return min(max(before, -price[frame]), price[frame]) + said[frame]

    score = np.array(list(accumulate(range(1, len(seen)), step, initial=said[0])))
    sure = np.append(np.abs(score[:-1]) > change[seen][1:], True)  # whatever comes after
    after = np.where(sure, np.arange(len(seen)), len(seen) - 1)
    chosen = score[np.minimum.accumulate(after[::-1])[::-1]] < 0
    return chosen[np.maximum(np.cumsum(~np.isnan(change)) - 1, 0)]


def _times(frames: int, times_ms: np.ndarray | None, rate: float) -> np.ndarray:
    return np.arange(frames) * (1000 / rate) if times_ms is None else np.asarray(times_ms, float)


def _around(values: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Sums over the frames around each: (n,) -> (n,), however few there are."""
    return np.convolve(values, box)[len(box) // 2 :][: len(values)]
