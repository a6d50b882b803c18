"""Raw frames of depth cameras: exactly the frames asked for, in either byte order, and shapes that cannot be right."""

from __future__ import annotations

import os
import pickle
from itertools import pairwise

import numpy as np
import pytest
from depth_recordings import frames_of, write_recording
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray import formats
from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats.depth import dat
from reelarray.formats.depth.dat import DatSource

FRAMES = 23


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Sources of the same frames in both byte orders, the second with a frame that was cut off."""
    folder = tmp_path_factory.mktemp("dat")
    film = frames_of(FRAMES)
    sources = {}
    for order in "<>":
        path = folder / f"{order}.dat"
        path.write_bytes(film.astype(f"{order}u2").tobytes() + bytes(5 if order == ">" else 0))
        status = path.stat()
        sources[order] = DatSource(str(path), FRAMES, 6, 8, order, status.st_size, status.st_mtime_ns)
    return sources, film


@given(st.integers(0, FRAMES), st.integers(0, FRAMES), st.sampled_from("<>"))
def test_any_range_is_exactly_these_frames(written, one, other, order):
    sources, film = written
    start, stop = min(one, other), max(one, other)
    found = sources[order].read(start, stop)
    assert found.dtype == np.uint16
    assert found.dtype.isnative
    assert found.shape == (stop - start, 6, 8)
    np.testing.assert_array_equal(found, film[start:stop])


@given(st.lists(st.integers(1, FRAMES), min_size=1))
def test_blocks_of_any_sizes_make_the_whole(written, sizes):
    sources, film = written
    edges = [0, *(each for each in np.cumsum(sizes).tolist() if each < FRAMES), FRAMES]
    pieces = [sources["<"].read(a, b) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), film)


@pytest.mark.parametrize("wanted", [(-1, 2), (0, FRAMES + 1), (3, 2), (FRAMES, FRAMES + 1)])
def test_ranges_that_are_none(written, wanted):
    with pytest.raises(IndexError, match=f"has \\[0, {FRAMES}\\)"):
        written[0]["<"].read(*wanted)


def test_a_source_is_a_value(written):
    source = written[0][">"]
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source
    assert hash(copy) == hash(source)
    np.testing.assert_array_equal(copy.read(5, 9), written[1][5:9])


def test_a_file_that_became_shorter_tells_how_many_are_left(tmp_path):
    path, _ = write_recording(tmp_path)
    source = formats.source(formats.probe(path))
    os.truncate(path, 13 * 96 + 7)
    with pytest.raises(TruncatedFile) as caught:
        source.read(10, 20)
    assert (caught.value.wanted, caught.value.found) == (10, 3)


def test_a_file_that_became_another_is_not_read(tmp_path):
    path, film = write_recording(tmp_path)
    source = formats.source(formats.probe(path))
    film[::-1].tofile(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(FormatError, match="changed since"):
        source.read(0, 2)


@pytest.mark.parametrize("little", [True, False])
def test_byte_order_is_that_of_the_metadata(tmp_path, little):
    path, film = write_recording(tmp_path, little=little)
    np.testing.assert_array_equal(formats.source(formats.probe(path)).read(0, 20), film)


@pytest.mark.parametrize(
    ("said", "options", "shape"),
    [
        ({}, {}, (6, 8)),
        ({"DepthResolution": ...}, {"width": 8, "height": 6}, (6, 8)),
        ({"DepthResolution": ...}, {}, (424, 512)),
        (False, {}, (424, 512)),
        (False, {"width": 4, "height": 3}, (3, 4)),
        ({"DepthResolution": [640, 576]}, {"width": 8, "height": 6}, (6, 8)),
    ],
)
def test_geometry(tmp_path, said, options, shape):
    count = 424 * 512 // 48 + 1  # 4523 small frames are one of a Kinect, and a bit
    path, _ = write_recording(tmp_path, count, said=said, stamps=None)
    header = formats.probe(path, **options)
    assert header.shape == (count * 48 // (shape[0] * shape[1]), *shape)
    assert ("partial_frame" in header.flags) == (shape == (424, 512))


def test_a_given_shape_that_the_metadata_contradict_is_told(tmp_path, caplog):
    path, _ = write_recording(tmp_path, stamps=None)
    assert formats.probe(path, width=6, height=8).shape == (20, 8, 6)
    assert "width=6, height=8 were given and are used; its metadata say 8 x 6" in caplog.text


@pytest.mark.parametrize("options", [{"width": 8}, {"width": 0, "height": 6}, {"width": 8.0, "height": 6}])
def test_shapes_that_are_none(tmp_path, options):
    path, _ = write_recording(tmp_path)
    with pytest.raises(FormatError, match=r"both were expected, in pixels"):
        formats.probe(path, **options)


@pytest.mark.parametrize("trailing", [1, 47, 95])
def test_a_trailing_partial_frame_is_flagged(tmp_path, trailing):
    path, film = write_recording(tmp_path, trailing=trailing)
    header = formats.probe(path)
    assert header.frames == 20
    assert header.flags == ("partial_frame",)
    np.testing.assert_array_equal(formats.source(header).read(0, 20), film)


def test_wrong_geometry_is_told_with_the_one_that_fits(tmp_path):
    path, _ = write_recording(tmp_path, 9, height=424, width=512, said={"DepthResolution": [640, 576]})
    with pytest.raises(FormatError, match=r"5\.3\d* frames of 640 x 576 .* 9 times, and frames of 512 x 424 pixels"):
        formats.probe(path)
    for on_mismatch in ("trim", "ignore"):  # these are for times that are missing, not for frames of another shape
        with pytest.raises(FormatError, match="512 x 424"):
            formats.probe(path, on_mismatch=on_mismatch)
    assert formats.probe(path, width=512, height=424).frames == 9


def test_wrong_geometry_of_an_unknown_camera_is_a_mismatch(tmp_path):
    path, _ = write_recording(tmp_path, 9, said={"DepthResolution": [8, 7]})
    with pytest.raises(FormatError, match=r"depth_ts.txt has 9 times, .*depth.dat has 7 frames"):
        formats.probe(path)


@given(st.sampled_from(dat.SHAPES), st.sampled_from(dat.SHAPES), st.integers(1, 300), st.integers(0, 10**6))
@settings(max_examples=200)
def test_frames_are_never_counted_with_a_shape_that_another_fits_better(shape, true, times, more):
    """Whole frames of `true`, one for each time: with any other shape this is an error, or a number of its own."""
    size = times * true[0] * true[1] * 2
    if shape == true:
        more %= shape[0] * shape[1] * 2
        assert dat.count_frames("x", size + more, shape, times) == (times, ("partial_frame",) if more else ())
    elif shape[0] * shape[1] != true[0] * true[1]:
        with pytest.raises(FormatError):
            dat.count_frames("x", size, shape, times)


def test_no_frame_at_all(tmp_path):
    path, _ = write_recording(tmp_path, 0, stamps=None, trailing=95)
    with pytest.raises(FormatError, match="95 bytes were found, one frame of 8 x 6 pixels has 96"):
        formats.probe(path)
