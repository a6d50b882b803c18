"""A small session of a depth camera, with its truth: an animal that walks and rests on a tilted floor in a bucket."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Range = tuple[int, int]  # frames, half open

HEIGHT = 675.0  # mm from the camera to the middle of the floor, as over the arenas of the Kinect 2
WALL, ROOM = 300.0, 1000.0  # mm: how far the wall rises, and where the floor of the room is
NOISE = 1.5  # mm, standard deviation of one pixel of one frame
LOST, LOST_FLANK = 0.001, 0.1  # shares of all pixels, and of those on steep flanks, that do not return
STEEP = 8.0  # mm a pixel
BODY, HEAD, TAIL, CABLE = 60.0, 38.0, 14.0, 80.0  # mm above the floor
COUNTED = 20.0  # mm: pixels above belong to the truth, so that the tail does not


@dataclass(frozen=True)
class _Stage:
    """The empty scene: depths and the floor as if it had no end (y, x), mm; pixels without a return; the bucket, px."""

    background: np.ndarray
    plane: np.ndarray
    nodata: np.ndarray
    bucket: tuple[float, float, float]
    floor: tuple[float, float, float]
    scale: float


def _stage(shape: tuple[int, int], random: np.random.Generator) -> _Stage:
    rows, columns = shape
    scale = min(rows / 424, columns / 512)
    cx, cy, radius, ring = columns / 2 + 6 * scale, rows / 2 - 7 * scale, 150 * scale, 25 * scale
    y, x = np.mgrid[:rows, :columns].astype(float)
    tilt = random.uniform(-0.04, 0.04, 2)
    plane = HEIGHT + tilt[0] * (x - cx) + tilt[1] * (y - cy)
    away = np.hypot(x - cx, y - cy) - radius
    background = np.select([away <= 0, away <= ring], [plane, plane - WALL * away / ring], ROOM)
    nodata = (random.random(shape) < 0.15) & (away > ring)
    nodata[: rows // 12, : columns // 24] = True  # the corner that the infrared lamp does not reach
    return _Stage(background, plane, nodata, (cx, cy, radius), (HEIGHT, *tilt), scale)


def _walk(frames: int, stage: _Stage, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (frame, 2) px, headings (rad in the image), speeds (px a frame): head first, and away from the wall."""
    cx, cy, radius = stage.bucket
    free = radius - 45 * stage.scale
    start, turned = math.sqrt(random.random()) * free / 2, random.uniform(0, 2 * math.pi)
    x, y = cx + start * math.cos(turned), cy + start * math.sin(turned)
    heading, speed, turn, walking = random.uniform(0, 2 * math.pi), stage.scale, 0.0, True
    out = np.empty((frames, 4))
    for frame in range(frames):
        chance, jolt, bend = random.random(), random.normal(), random.normal()
        walking = walking ^ (chance < (1 / 90 if walking else 1 / 45))  # bouts of 3 s, rests of 1.5 s at 30 Hz
        speed = max(0.0, 0.9 * speed + 0.1 * (1.6 if walking else 0.05) * stage.scale + 0.05 * stage.scale * jolt)
        near = max(0.0, math.hypot(x - cx, y - cy) / free - 0.5)
        inwards = math.remainder(math.atan2(cy - y, cx - x) - heading, 2 * math.pi)
        turn = 0.9 * turn + 0.012 * bend + 0.03 * near * math.copysign(min(abs(inwards), 1.0), inwards)
        heading += turn
        x, y = x + speed * math.cos(heading), y + speed * math.sin(heading)
        if (far := math.hypot(x - cx, y - cy)) > free:
            x, y = cx + (x - cx) * free / far, cy + (y - cy) * free / far
        out[frame] = x, y, heading, speed
    return out[:, :2], out[:, 2], out[:, 3]


def _animal(x: np.ndarray, y: np.ndarray, heading: float, phase: float, scale: float) -> np.ndarray:
    """Heights (mm) of an animal at 0, 0 on a grid of px: half an ellipsoid that breathes, a head, a waving tail."""
    along = (math.cos(heading) * x + math.sin(heading) * y) / scale
    across = (math.cos(heading) * y - math.sin(heading) * x) / scale
    long, wide = 30 + 2 * math.sin(phase), 15 - math.sin(phase)
    body = BODY * np.sqrt(np.maximum(0, 1 - (along / long) ** 2 - (across / wide) ** 2))
    head = HEAD * np.sqrt(np.maximum(0, 1 - ((along - 30) / 12) ** 2 - (across / 8) ** 2))
    tail = (abs(along + 44) < 18) & (abs(across - 3 * np.sin(along / 9 + phase)) < 1.8)
    return np.maximum(np.maximum(body, head), TAIL * tail)


def _measure(height: np.ndarray, rows: slice, columns: slice) -> tuple[float, float, float, float, float]:
    """Centroid (px), main axis (rad in the image, modulo pi), area (px) and mean height (mm) of what is counted."""
    y, x = np.nonzero(height > COUNTED)
    if not len(x):
        return math.nan, math.nan, math.nan, 0.0, math.nan
    (xx, xy), (_, yy) = np.cov(x, y, bias=True)
    axis = math.atan2(2 * xy, xx - yy) / 2 % math.pi
    return x.mean() + columns.start, y.mean() + rows.start, axis, float(len(x)), height[y, x].mean()


def _render(
    stage: _Stage, poses: list[tuple[float, float, float]], phase: float, cable: bool
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Depths (y, x) as a perfect camera sees them, the steep flanks in them, and what is true of the first animal."""
    scene, flanks = stage.background.copy(), np.zeros(stage.plane.shape, bool)
    facts = (math.nan, math.nan, math.nan, 0.0, math.nan)
    half = round(70 * stage.scale)
    for number, (x, y, heading) in enumerate(poses):
        rows = slice(max(0, int(y) - half), int(y) + half)
        columns = slice(max(0, int(x) - half), int(x) + half)
        floor, empty = stage.plane[rows, columns], stage.background[rows, columns]
        grid_y, grid_x = np.mgrid[rows.start : rows.start + len(floor), columns.start : columns.start + floor.shape[1]]
        height = _animal(grid_x - x, grid_y - y, heading, phase, stage.scale)
        height[(floor - height >= empty) | (empty > floor)] = 0  # behind the wall, and beyond it
        flanks[rows, columns] |= np.hypot(*np.gradient(height)) > STEEP / stage.scale
        scene[rows, columns] = np.where(
            height > 0, np.minimum(scene[rows, columns], floor - height), scene[rows, columns]
        )
        if number == 0:
            facts = _measure(height, rows, columns)
            if cable:
                along = slice(max(0, int(y) - 1), int(y) + 2), slice(int(x), int(stage.bucket[0] + stage.bucket[2]))
                scene[along] = np.minimum(scene[along], stage.plane[along] - CABLE)
    return scene, flanks, facts


def _sense(
    scene: np.ndarray, flanks: np.ndarray, nodata: np.ndarray, noise: np.ndarray, sensor: np.random.Generator
) -> np.ndarray:
    """What the sensor makes of a scene: noise, whole millimetres, and pixels without a return."""
    first = sensor.integers(len(noise) - scene.size)
    film = np.rint(scene + noise[first : first + scene.size].reshape(scene.shape)).astype("<u2")
    film[nodata] = 0
    film.flat[sensor.integers(0, film.size, round(LOST * film.size))] = 0
    steep = np.flatnonzero(flanks)
    film.flat[steep[sensor.random(len(steep)) < LOST_FLANK]] = 0
    return film


def make_session(
    folder: str | Path,
    *,
    frames: int = 300,
    seed: int = 0,
    fps: float = 30.0,
    shape: tuple[int, int] = (424, 512),
    animals: int = 1,
    absent: Iterable[Range] = (),
    blank: Iterable[Range] = (),
    at_edge: Iterable[Range] = (),
    cable: bool = False,
    dropped: int = 3,
    trailing: int = 0,
) -> dict[str, np.ndarray]:
    """Write depth.dat, depth_ts.txt and metadata.json of one recording; returns what is true of it.

    depth.dat holds frames (y, x) of uint16, mm, 0 = no return. A longer recording starts with the frames of a shorter
    one of the same seed. Lengths in px are those of a frame of 424 x 512; other shapes scale them.

    Parameters
    ----------
    folder : is made where it is not there
    frames, fps, shape : of the film; shape is (rows, columns)
    seed : of the tilt of the floor, the way of the animal, and the noise
    animals : how many, at least one; the truth is that of the first
    absent : ranges of frames (half open) without any animal
    blank : ranges of frames without any return
    at_edge : ranges of frames in which the animal stands on the rim of the floor
    cable : whether a cable, 3 px wide and 80 mm above the floor, hangs from the animal to the wall
    dropped : number of frames that the camera lost, at even distances: steps in the timestamps, no frames
    trailing : bytes of one more frame that was cut off

    Returns
    -------
    dict : of (frame,): `xy` (.., 2) middle of the body and `body_centroid` (.., 2), px (column, row); `heading`, rad,
        in the image's sense (the head lies at x + cos, y + sin), `body_axis`, the same modulo pi; `speed`, px a frame;
        `area_px` and `height_mm` of the pixels higher than 20 mm (NaN and 0 where there is no animal); `ts`, ms; also
        `gap_before` (frames after a lost one), `background` (y, x) mm, `nodata` (y, x), `bucket` (middle x, y, radius
        of the floor, px), `floor` (mm in that middle, mm a column, mm a row), `seed`, `fps`

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     truth = make_session(folder, frames=5, shape=(106, 128))
    ...     Path(folder, "depth.dat").stat().st_size
    135680
    >>> truth["floor"][0].item(), len(truth["ts"])
    (675.0, 5)
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    streams = np.random.SeedSequence(seed).spawn(3 + animals)
    scenery, sensor, timing, *walks = (np.random.default_rng(stream) for stream in streams)
    stage = _stage(shape, scenery)
    ways = [_walk(frames, stage, random) for random in walks]
    gone, empty, rim = (_chosen(ranges, frames) for ranges in (absent, blank, at_edge))
    cx, cy, radius = stage.bucket
    xy, heading, speed = ways[0]
    if rim.any():
        out = np.arctan2(xy[rim, 1] - cy, xy[rim, 0] - cx)
        xy[rim] = np.stack([cx + radius * np.cos(out), cy + radius * np.sin(out)], axis=1)
    facts = np.full((frames, 5), (math.nan, math.nan, math.nan, 0.0, math.nan))
    noise = sensor.normal(0, NOISE, 8 * math.prod(shape)).astype("f4")  # frames take stretches of it
    with open(folder / "depth.dat", "wb") as file:
        for frame in range(frames):
            poses = [] if gone[frame] else [(*xy[frame], heading[frame]) for xy, heading, _ in ways]
            scene, flanks, facts[frame] = _render(stage, poses, frame * math.pi / 12, cable)
            film = np.zeros(shape, "<u2") if empty[frame] else _sense(scene, flanks, stage.nodata, noise, sensor)
            film.tofile(file)
        file.write(bytes(trailing))
    period = 1000 / fps
    times = period * np.arange(1, frames + 1) + timing.normal(0, 0.01 * period, frames)
    gaps = np.unique([frames * (k + 1) // (dropped + 1) for k in range(dropped)]).astype(int)
    gaps = gaps[gaps > 0]
    times += period * (np.arange(frames)[:, None] >= gaps).sum(axis=1)
    (folder / "depth_ts.txt").write_text("".join(f"{ms:.4f} {round(ms * 10)}\n" for ms in times))
    (folder / "metadata.json").write_text(json.dumps(_metadata(seed, shape), indent=1))
    return {
        "xy": np.where(gone[:, None], math.nan, xy),
        "heading": np.where(gone, math.nan, heading),
        "speed": speed,
        "body_centroid": facts[:, :2],
        "body_axis": facts[:, 2],
        "area_px": facts[:, 3],
        "height_mm": facts[:, 4],
        "ts": times,
        "gap_before": gaps,
        "background": stage.background,
        "nodata": stage.nodata,
        "bucket": np.array(stage.bucket),
        "floor": np.array(stage.floor),
        "seed": np.array(seed),
        "fps": np.array(fps),
    }


def _chosen(ranges: Iterable[Range], frames: int) -> np.ndarray:
    out = np.zeros(frames, bool)
    for start, stop in ranges:
        out[start:stop] = True
    return out


def _metadata(seed: int, shape: tuple[int, int]) -> dict[str, object]:
    return {
        "SubjectName": f"animal {seed}",
        "SessionName": "synthetic",
        "NidaqChannels": 0,
        "NidaqSamplingRate": 0.0,
        "DepthResolution": [shape[1], shape[0]],
        "IsLittleEndian": True,
        "DepthDataType": "UInt16[]",
        "ColorResolution": [0, 0],
        "ColorDataType": "Byte[]",
        "StartTime": "2024-05-06T07:08:09.1234567+00:00",
    }
