"""Films written whole or not at all; previews in colour, encoded beside the computation."""

from __future__ import annotations

import os
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.depth import encoding
from reelarray.depth.movies import (
    GRAY,
    WHITE,
    Beside,
    FilmWriter,
    Preview,
    colours,
    film_colours,
    pictures,
    planes,
)
from reelarray.errors import MissingPackage, RecordingError, Unwritable
from reelarray.formats.depth.video import VideoSource, probe_video

av = pytest.importorskip("av")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def read_back(path):
    film = probe_video(str(path))
    return VideoSource(film.path, film.frames, film.layout, film.size, film.modified_ns).read(0, film.frames), film


def rgb(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), stream.average_rate


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
@pytest.mark.parametrize("shape", [(6, 8), (7, 9), (106, 128), (424, 512)])
def test_every_value_comes_back(tmp_path, shape, suffix):
    frames = noise(5, *shape)
    frames[0], frames[1] = 0, 65535
    with FilmWriter(tmp_path / f"x{suffix}", shape[1], shape[0], 30, title="DEPTH") as film:
        film.write(frames[:2])
        film.write(frames[2:2])
        film.write(frames[2:])
        assert film.frames == 5
        assert [name for name in os.listdir(tmp_path) if not name.endswith(".part")] == []
    got, found = read_back(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(got, frames)
    assert found.packets.keys.all()
    assert found.start == 0  # each slice has its checksum
    assert (found.codec, found.pixel_format, found.rate) == ("ffv1", "gray16le", 30)
    assert os.listdir(tmp_path) == [f"x{suffix}"]


def test_blocks_of_any_size_make_the_same_file(tmp_path):
    frames = noise(12, 30, 40)
    for step in (1, 5, 12):
        with FilmWriter(tmp_path / f"{step}.avi", 40, 30, 30, threads=1 + step % 3) as film:
            for first in range(0, 12, step):
                film.write(frames[first : first + step])
    assert len({(tmp_path / f"{step}.avi").read_bytes() for step in (1, 5, 12)}) == 1


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 29.97, 5, Fraction(1, 2)])
def test_the_rate_is_that_of_the_recording(tmp_path, rate):
    with FilmWriter(tmp_path / "x.avi", 8, 6, rate) as film:
        film.write(noise(4, 6, 8))
    assert probe_video(str(tmp_path / "x.avi")).rate == Fraction(rate).limit_denominator(1 << 16)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left_and_what_was_there_stays(tmp_path, error):
    (tmp_path / "x.avi").write_bytes(b"before")

    def broken():
        with FilmWriter(tmp_path / "x.avi", 8, 6, 30) as film:
            film.write(noise(4, 6, 8))
            raise error

    with pytest.raises(error):
        broken()
    assert os.listdir(tmp_path) == ["x.avi"]
    assert (tmp_path / "x.avi").read_bytes() == b"before"


def test_what_cannot_be_written_is_refused_before_a_file_is_made(tmp_path, monkeypatch):
    with pytest.raises(RecordingError, match=r"'vp9'.*'ffv1' or 'h264'"):
        FilmWriter(tmp_path / "x.avi", 8, 6, 30, codec="vp9")
    with pytest.raises(RecordingError, match=r"x\.gif: a film ends in one of \.avi"):
        FilmWriter(tmp_path / "x.gif", 8, 6, 30)
    with pytest.raises(RecordingError, match="7 x 6 pixels were given"):
        FilmWriter(tmp_path / "x.mp4", 7, 6, 30, codec="h264")
    with pytest.raises(RecordingError, match="is not open"):
        FilmWriter(tmp_path / "x.avi", 8, 6, 30).write(noise(1, 6, 8))
    with pytest.raises(FileNotFoundError, match="no such folder"), FilmWriter(tmp_path / "none/x.avi", 8, 6, 30):
        pass
    for frames in (noise(2, 8, 6), noise(2, 6, 8).astype(np.uint8), noise(6, 8)):
        with pytest.raises(RecordingError, match="were expected"), FilmWriter(tmp_path / "x.avi", 8, 6, 30) as film:
            film.write(frames)
    with pytest.raises(RecordingError, match="no frame was written"), FilmWriter(tmp_path / "x.avi", 8, 6, 30):
        pass
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingPackage, match=r"reelarray\[depth\]"), FilmWriter(tmp_path / "x.avi", 8, 6, 30):
        pass
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_as_such():
    frames = noise(60, 424, 512)

    def fill():
        with encoding.Encoder("/dev/full", 512, 424, 30, container="avi") as film:
            film.write(frames)

    with pytest.raises(Unwritable, match=r"/dev/full.*see that the disk has room"):
        fill()


def test_jet_runs_from_blue_to_red():
    table = colours(10, 120).astype(int)
    assert len(table) == 121
    assert (table[:11] == table[10]).all()  # below the minimum
    assert (np.diff(table[10:, 0])[:60] >= 0).all()
    assert table[10].argmax() == 2
    assert table[65].argmax() == 1
    assert table[120].argmax() == 0
    assert len(np.unique(colours(0, 1000), axis=0)) == 256
    with pytest.raises(ValueError, match="read-only"):
        colours(10, 120)[0] = 1


def test_a_picture_has_crop_heights_and_number_in_their_places():
    crops, heights = np.full((2, 20, 20), 120, np.uint8), np.full((2, 40, 61), 40, np.uint8)
    out = pictures(crops, heights, np.array([7, 1234]), minimum=10, maximum=120)
    assert out.shape == (2, 90, 82)  # a line of nothing makes 81 even
    table = film_colours(10, 120)
    brightness, *differences = planes(out)
    for plane, values, step in zip((brightness, *differences), table, (1, 2, 2), strict=True):
        corner, low = 20 // step, 60 // step
        assert (plane[:, :corner, :corner] == values[120]).all()
        assert (plane[:, corner:low, corner : 80 // step] == values[40]).all()
        assert (plane[:, :corner, corner : 40 // step] == values[0]).all()
        assert (plane[:, corner:, :corner] == values[0]).all()
    white = brightness == WHITE
    rows, columns = np.nonzero(white[1])
    assert all((plane[1, rows // 2, columns // 2] == GRAY).all() for plane in differences)
    assert (rows.min(), rows.max(), columns.min()) == (5, 11, 82 - 40 + 1)  # the 1 has an empty column before it
    assert columns.max() < 82 - 40 + 4 * 6
    assert white[0].sum() < white[1].sum()


def test_numbers_can_be_told_apart():
    blank = np.zeros((10, 4, 4), np.uint8), np.zeros((10, 16, 60), np.uint8)
    digits = pictures(*blank, np.arange(10), minimum=10, maximum=120)
    assert len({each.tobytes() for each in digits}) == 10
    places = pictures(*blank, 10 ** np.arange(10), minimum=10, maximum=120)  # more digits than there is room for
    assert len({each.tobytes() for each in places[:6]}) == 6


@settings(max_examples=30, deadline=None)
@given(reduce=st.integers(1, 4), rows=st.integers(1, 40), columns=st.integers(1, 40), size=st.integers(1, 20))
def test_smaller_pictures_are_every_so_manyth_pixel(reduce, rows, columns, size):
    crops = noise(1, size, size) % 200
    heights = noise(1, rows, columns, seed=1) % 200
    small, *differences = (
        plane[0] for plane in planes(pictures(crops, heights, np.array([0]), minimum=10, maximum=120, reduce=reduce))
    )
    full = np.zeros((rows + size, columns + size), int)
    full[:size, :size] = crops[0]
    full[size:, size:] = heights[0]
    shown = np.minimum(full[::reduce, ::reduce], 120)
    expected = film_colours(10, 120)[0][shown]
    assert small.shape[0] % 2 == small.shape[1] % 2 == 0
    part = small[: expected.shape[0], : expected.shape[1]]
    drawn = part == WHITE
    np.testing.assert_array_equal(part[~drawn], expected[~drawn])
    for plane, values in zip(differences, film_colours(10, 120)[1:], strict=True):
        half = values[shown[::2, ::2]]
        plane = plane[: half.shape[0], : half.shape[1]]
        assert ((plane == half) | (plane == GRAY)).all()


def test_colours_of_films_are_those_of_the_map():
    red, green, blue = (colours(0, 255) / 255.0).T
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    exact = 16 + 219 * bright, 128 + 112 / 0.886 * (blue - bright), 128 + 112 / 0.701 * (red - bright)
    assert abs(film_colours(0, 255) - np.array(exact)).max() <= 0.51


@pytest.mark.parametrize(("every", "steps"), [(1, (7, 13)), (3, (7, 13)), (3, (1,) * 20), (30, (10, 10))])
def test_a_preview_shows_one_frame_of_so_many_at_real_time(tmp_path, every, steps):
    heights = np.zeros((20, 60, 80), np.uint8)
    heights[:, 10:50, 10:70] = (10 + 5 * np.arange(20))[:, None, None]
    with Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30, every=every) as preview:
        first = 0
        for step in steps:
            preview.write(np.zeros((step, 20, 20), np.uint8), heights[first : first + step])
            first += step
    got, rate = rgb(tmp_path / "p.mp4")
    shown = np.arange(0, 20, every)
    assert got.shape == (len(shown), 80, 100, 3)
    assert preview.frames == len(shown)
    if len(shown) > 1:
        assert rate == Fraction(30, every)
    middle = got[:, 50, 60].astype(int)
    assert abs(middle - colours(10, 120)[heights[shown, 30, 40]]).max() < 40  # H.264 loses some colour
    assert os.listdir(tmp_path) == ["p.mp4"]


def test_a_preview_copies_what_it_is_given(tmp_path, monkeypatch):
    begin, seen = threading.Event(), []

    def slow(self, crops, heights, numbers):
        assert begin.wait(10)
        seen.append(heights.copy())
        self._film.write(np.zeros((1, 120, 100), np.uint8))

    monkeypatch.setattr(Preview, "_encode", slow)
    with Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30) as preview:
        crops, heights = np.zeros((2, 20, 20), np.uint8), np.full((2, 60, 80), 7, np.uint8)
        preview.write(crops, heights)
        heights[:] = 9  # the caller uses its buffer again
        begin.set()
    assert (seen[0] == 7).all()


@pytest.mark.parametrize("late", [False, True])
def test_errors_of_the_encoder_reach_the_caller(tmp_path, monkeypatch, late):
    def refuse(self, frames):
        raise Unwritable("the disk is full")

    monkeypatch.setattr(encoding.Encoder, "write", refuse)
    block = np.zeros((2, 20, 20), np.uint8), np.zeros((2, 60, 80), np.uint8)
    threads = threading.active_count()

    def encode():
        with Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30) as preview:
            for _ in range(1 if late else 10_000):
                preview.write(*block)

    with pytest.raises(Unwritable, match="the disk is full"):
        encode()
    assert os.listdir(tmp_path) == []
    assert threading.active_count() == threads


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_of_the_computation_leaves_no_movie_and_no_thread(tmp_path, error):
    threads = threading.active_count()

    def compute():
        with Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30) as preview:
            preview.write(np.zeros((2, 20, 20), np.uint8), np.zeros((2, 60, 80), np.uint8))
            raise error

    with pytest.raises(error):
        compute()
    assert os.listdir(tmp_path) == []
    assert threading.active_count() == threads


def test_a_preview_refuses_what_does_not_fit(tmp_path):
    for options in ({"every": 0}, {"reduce": 0}, {"minimum": 120}, {"maximum": 5}):
        with pytest.raises(RecordingError, match="were expected"):
            Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30, **options)
    block = np.zeros((2, 20, 20), np.uint8), np.zeros((3, 60, 80), np.uint8)
    with pytest.raises(RecordingError, match="is not open"):
        Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30).write(*block)
    with Preview(tmp_path / "p.mp4", (60, 80), (20, 20), 30) as preview:
        preview.write(*(each[:1] for each in block))
        with pytest.raises(RecordingError, match=r"crops \(2, 20, 20\) and heights \(3, 60, 80\)"):
            preview.write(*block)


def test_without_h264_the_movie_is_mpeg4_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(av.codec, "codecs_available", av.codec.codecs_available - {"libx264"})
    with FilmWriter(tmp_path / "x.mp4", 64, 48, 30, codec="h264") as film:
        red = np.empty((3, 72, 64), np.uint8)
        for plane, value in zip(planes(red), (84, 106, 205), strict=True):  # of (200, 30, 30)
            plane[:] = value
        film.write(red)
    assert "MPEG-4" in caplog.text
    got, _ = rgb(tmp_path / "x.mp4")
    assert got.shape == (3, 48, 64, 3)
    assert abs(got.astype(int) - (200, 30, 30)).max() < 12


def test_what_runs_beside_is_in_order_bounded_and_waited_for():
    done, start = [], threading.Event()
    me = threading.get_ident()

    def act(k):
        assert start.wait(10)
        done.append((k, threading.get_ident() != me))

    beside = Beside(act, ahead=2)
    for k in range(3):  # one is acted on, two wait
        beside.put(k)
    blocked = threading.Thread(target=beside.put, args=(3,))
    blocked.start()
    blocked.join(0.3)
    assert blocked.is_alive()  # the fourth has no room
    start.set()
    blocked.join(10)
    beside.close()
    assert done == [(k, True) for k in range(4)]
    beside.close()  # again does nothing


def test_after_an_error_nothing_more_is_done():
    done = []

    def act(k):
        done.append(k)
        raise ValueError(f"{k} is bad")

    beside = Beside(act)
    beside.put(1)
    with pytest.raises(ValueError, match="1 is bad"):
        [beside.put(2) for _ in range(10_000)]
    with pytest.raises(ValueError, match="1 is bad"):
        beside.close()
    assert done == [1]
