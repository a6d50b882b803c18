"""Films of 16-bit gray: any range of frames is exactly these frames, and what is damaged is said with its number."""

from __future__ import annotations

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("av")

from films16 import av, azure_bytes, element, scenes, write_avi, write_colour, write_mkv

from reelarray.errors import FormatError, MissingPackage, TruncatedFile
from reelarray.formats.depth import films, packets, video
from reelarray.formats.depth.slices import checked_with, damaged_slice
from reelarray.formats.depth.video import VideoSource, probe_video

DROPPED = np.array([0, 33, 67, 100, 133, 233, 267, 300, 400, 433, 467, 500], float)  # two holes


def source_of(path, stream=None):
    film = probe_video(str(path), stream)
    return VideoSource(film.path, film.frames, film.layout, film.size, film.modified_ns)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Films of every make, by name, and the frames that are in them."""
    folder = tmp_path_factory.mktemp("films")
    film = scenes(30)
    ticks = np.arange(12) * 333
    found = {
        "intra": (write_avi(folder / "intra.avi", film), film),
        "groups": (write_avi(folder / "groups.avi", film, gop=12), film),
        "sliced": (write_avi(folder / "sliced.avi", film, options={"slices": "4"}), film),
        "unchecked": (write_avi(folder / "unchecked.avi", film, options={"slicecrc": "0", "slices": "4"}), film),
        "old": (write_avi(folder / "old.avi", film, options={"level": "1", "slicecrc": "-1"}), film),
        "mkv": (write_mkv(folder / "streams.mkv", film[:12], DROPPED), film[:12]),
    }
    makes = {"azure": {}, "blocks": {"groups": True}, "live": {"unknown": True}, "micro": {"scale": 1000, "cluster": 1}}
    for name, options in makes.items():
        path = folder / f"{name}.mkv"
        path.write_bytes(azure_bytes(film[:12], ticks * (100 if name == "micro" else 1), **options))
        found[name] = path, film[:12]
    return found


MAKES = ("intra", "groups", "sliced", "unchecked", "old", "mkv", "azure", "blocks", "live", "micro")


@pytest.mark.parametrize("make", MAKES)
def test_any_range_is_exactly_its_frames(written, make):
    path, film = written[make]
    source = source_of(path)
    assert source.shape == film.shape
    assert source.dtype == film.dtype

    @settings(max_examples=25, deadline=None)
    @given(st.tuples(st.integers(0, len(film)), st.integers(0, len(film))).map(sorted))
    def exact(ends):
        got = source.read(*ends)
        assert got.dtype == np.uint16
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, film[slice(*ends)])

    exact()


@pytest.mark.parametrize("make", MAKES)
def test_a_film_is_described_as_the_container_does(written, make):
    path, film = written[make]
    found = probe_video(str(path))
    assert (found.frames, found.height, found.width) == film.shape
    assert found.rate == 30
    assert not found.cut
    with av.open(str(path)) as container:  # the library's own walk over all packets
        stream = container.streams[found.stream]
        listed = [p for p in container.demux(stream) if p.size]
        assert found.pixel_format == stream.codec_context.pix_fmt
        assert found.packets.sizes.tolist() == [p.size for p in listed]
        assert found.packets.keys.tolist() == [p.is_keyframe for p in listed]
        ms = [float(p.pts * p.time_base * 1000) for p in listed]
    if path.suffix == ".avi":
        assert found.times is None
    else:
        np.testing.assert_allclose(found.times, ms, rtol=0, atol=1e-6)
        assert found.title == "DEPTH"


def test_dropped_frames_are_steps_in_the_times(written):
    np.testing.assert_array_equal(probe_video(str(written["mkv"][0])).times, DROPPED)


def test_frames_left_out_of_an_avi_are_steps_too(tmp_path):
    film = scenes(6)
    path = write_avi(tmp_path / "holes.avi", film, ticks=[0, 1, 2, 5, 6, 7])
    found = probe_video(str(path))
    assert found.frames == 6
    np.testing.assert_allclose(found.times, np.array([0, 1, 2, 5, 6, 7]) * 1000 / 30)
    np.testing.assert_array_equal(source_of(path).read(2, 5), film[2:5])


def test_a_rate_that_the_times_deny_is_not_believed(tmp_path):
    path = tmp_path / "slow.mkv"
    path.write_bytes(azure_bytes(scenes(8), np.arange(8) * 2000))  # 5 Hz, and no duration is declared
    assert probe_video(str(path)).rate == 5


def test_the_stream_is_found_by_title_or_chosen(written, tmp_path):
    path, film = written["mkv"]
    assert [probe_video(str(path), each).stream for each in (None, "DEPTH", "IR", 2)] == [1, 1, 2, 2]
    np.testing.assert_array_equal(source_of(path, "IR").read(3, 5), 65535 - film[3:5])
    untitled = write_mkv(tmp_path / "x.mkv", film, DROPPED, titles=("COLOR", "IR"))
    assert probe_video(str(untitled)).stream == 1
    assert probe_video(str(untitled), "DEPTH").stream == 1
    with pytest.raises(FormatError, match=r"'LIDAR' was asked for.*0: COLOR, mpeg4.*1: IR, ffv1, gray16le, 64x48"):
        probe_video(str(untitled), "LIDAR")
    with pytest.raises(FormatError, match="stream 0 was asked for"):
        probe_video(str(untitled), 0)


def test_a_film_in_colour_is_refused_with_its_streams(tmp_path):
    with pytest.raises(FormatError, match=r"c\.avi: a stream of 16-bit gray .* 0: no title, mpeg4, yuv420p, 64x48"):
        probe_video(str(write_colour(tmp_path / "c.avi")))


def test_what_is_no_video_is_said_so(tmp_path):
    path = tmp_path / "depth.avi"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(FormatError, match=r"depth\.avi \(1500 bytes\) is no video"):
        probe_video(str(path))
    with pytest.raises(FileNotFoundError, match="check the path"):
        probe_video(str(tmp_path / "none.avi"))
    with pytest.raises(FormatError, match="folder"):
        probe_video(str(tmp_path))
    with pytest.raises(FormatError, match="remote"):
        probe_video("s3://there/depth.avi")


def test_other_containers_say_how_to_rewrap_them(tmp_path):
    film = scenes(3)
    with av.open(str(tmp_path / "depth.nut"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = *film.shape[1:], "gray16le"
        for frame in film:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray16le")))
        container.mux(stream.encode())
    with pytest.raises(FormatError, match="ffmpeg -i IN"):
        probe_video(str(tmp_path / "depth.nut"))


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = write_avi(tmp_path / "depth.avi", scenes(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackage, match=r"reelarray\[depth\]"):
        probe_video(str(path))


@pytest.mark.parametrize(("make", "start", "stop", "packets_read"), [
    ("intra", 13, 14, 1), ("intra", 5, 9, 4), ("groups", 13, 14, 2), ("groups", 23, 24, 12), ("groups", 0, 30, 30),
    ("azure", 7, 9, 2),
])  # fmt: skip
def test_a_read_takes_the_packets_that_it_needs_and_no_other(written, monkeypatch, make, start, stop, packets_read):
    source = source_of(written[make][0])
    source.read(0, 1)  # the index
    read = []
    monkeypatch.setattr(
        video, "contents", lambda file, p, frame: read.append(frame) or packets.contents(file, p, frame)
    )
    monkeypatch.setattr(films, "_opened", lambda *a: pytest.fail("the file was looked through again"))
    source.read(start, stop)
    assert read == list(range(stop - packets_read, stop))


def test_threads_that_begin_together_make_one_index(tmp_path, monkeypatch):
    film = scenes(24)
    path = write_avi(tmp_path / "depth.avi", film)
    made = []
    monkeypatch.setattr(films, "avi_packets", lambda *a: made.append(1) or packets.avi_packets(*a))
    source = source_of(path)
    films._film.cache_clear()
    made.clear()
    with ThreadPoolExecutor(8) as pool:
        blocks = list(pool.map(lambda k: source.read(3 * k, 3 * k + 3), range(8)))
    np.testing.assert_array_equal(np.concatenate(blocks), film)
    assert len(made) == 1


def test_the_index_of_matroska_skips_the_pictures(written, monkeypatch):
    path, film = written["azure"]
    taken = []
    monkeypatch.setattr(
        packets._Walk,
        "_bytes",
        lambda self, at, count, get=packets._Walk._bytes: taken.append(count) or get(self, at, count),
    )
    found, _ = packets.matroska_packets(str(path), 1)
    assert len(found) == len(film)
    assert sum(taken) < path.stat().st_size / 10


def test_a_source_and_a_film_can_be_sent(written):
    path, film = written["groups"]
    source = source_of(path)
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source
    assert hash(copy) == hash(source)
    np.testing.assert_array_equal(copy.read(14, 16), film[14:16])
    sent = pickle.loads(pickle.dumps(probe_video(str(path))))
    assert (sent.frames, sent.rate) == (30, Fraction(30))
    np.testing.assert_array_equal(sent.packets.places, probe_video(str(path)).packets.places)


@pytest.mark.parametrize("make", ["intra", "groups", "sliced"])
@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 2**32), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_in_its_frame(written, tmp_path_factory, make, place, bit):
    path, film = written[make]
    sound = probe_video(str(path)).packets
    frame = place % len(film)
    at = int(sound.places[frame]) + place % int(sound.sizes[frame])
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    broken = tmp_path_factory.mktemp("broken") / "depth.avi"
    broken.write_bytes(data)
    source = source_of(broken)
    with pytest.raises(FormatError, match=rf"depth\.avi: frame {frame} cannot be decoded"):
        source.read(0, len(film))
    np.testing.assert_array_equal(source.read(0, frame), film[:frame])
    if make != "groups":
        np.testing.assert_array_equal(source.read(frame + 1, len(film)), film[frame + 1 :])


def test_the_first_packet_may_be_the_damaged_one(written, tmp_path):
    path, film = written["sliced"]
    data = bytearray(path.read_bytes())
    data[int(probe_video(str(path)).packets.places[0]) + 50] ^= 255
    (tmp_path / "depth.avi").write_bytes(data)
    source = source_of(tmp_path / "depth.avi")
    with pytest.raises(FormatError, match="frame 0 cannot"):
        source.read(0, 3)
    np.testing.assert_array_equal(source.read(1, 30), film[1:])


def test_the_first_version_of_ffv1_has_no_slices(written):
    film = probe_video(str(written["old"][0]))
    assert (film.sliced, film.start, film.setup) == (False, None, b"")
    assert probe_video(str(written["unchecked"][0])).sliced


def test_checksums_are_recognised(written):
    for make, start in (("intra", 0), ("sliced", 0), ("unchecked", None)):
        film = probe_video(str(written[make][0]))
        assert film.start == start
        with open(film.path, "rb") as file:
            packet = packets.contents(file, film.packets, 3)
        assert damaged_slice(packet, film.start) is None
        assert damaged_slice(packet[:-1], film.start) is not None
        assert checked_with([b"", b"\0" * 9, packet]) == start
    assert damaged_slice(b"", 0) == 0
    assert damaged_slice(bytes(8000), 0) == 0  # a hole in a file


@pytest.mark.parametrize("make", ["intra", "groups", "mkv", "azure", "live"])
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_film_that_was_cut_has_the_frames_that_are_whole(written, tmp_path_factory, make, share):
    path, film = written[make]
    data = path.read_bytes()
    places = probe_video(str(path)).packets
    size = int(share * len(data))
    whole = int(np.sum(places.places + places.sizes <= size))
    cut = tmp_path_factory.mktemp("cut") / path.name
    cut.write_bytes(data[:size])
    if not whole:  # so little is left that no frame is there
        with pytest.raises(FormatError, match=path.name):
            probe_video(str(cut))
        return
    found = probe_video(str(cut))
    assert found.frames == whole
    if make != "live":  # which says nowhere how long it is: cut between two packets it is whole
        assert found.cut or size > places.places[-1] + places.sizes[-1]
    np.testing.assert_array_equal(source_of(cut).read(0, whole), film[:whole])


@pytest.mark.parametrize("make", ["intra", "azure"])
def test_a_film_that_shrinks_after_the_probe_says_how_much_is_left(written, tmp_path, make):
    path, _ = written[make]
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    source = source_of(copy)
    source.read(0, 1)
    places = probe_video(str(copy)).packets.places
    os.truncate(copy, int(places[7]) + 10)
    with pytest.raises(TruncatedFile) as told:
        source.read(4, 9)
    assert (told.value.wanted, told.value.found) == (5, 3)
    os.truncate(copy, 5)
    with pytest.raises(TruncatedFile) as told:
        source.read(4, 9)
    assert (told.value.wanted, told.value.found) == (5, 0)


def test_a_film_that_changed_after_the_probe_is_not_read(tmp_path):
    path = write_avi(tmp_path / "depth.avi", scenes(5))
    source = source_of(path)
    os.utime(path, ns=(0, 10**18))
    with pytest.raises(FormatError, match="changed since it was scanned"):
        source.read(0, 5)
    write_avi(path, scenes(9, seed=1))
    with pytest.raises(FormatError, match="changed since it was scanned"):
        source.read(0, 5)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        source.read(0, 5)


def test_frames_that_are_not_there_are_refused(written):
    with pytest.raises(IndexError, match=r"frames \[28, 31\)"):
        source_of(written["intra"][0]).read(28, 31)


def test_packets_in_another_order_than_their_times_are_refused(tmp_path):
    (tmp_path / "x.mkv").write_bytes(azure_bytes(scenes(4), [0, 333, 250, 999]))
    with pytest.raises(FormatError, match="frame 2 of stream 1 is not shown after"):
        probe_video(str(tmp_path / "x.mkv"))


def test_packets_that_are_no_frames_of_their_own_are_refused(tmp_path):
    (tmp_path / "laced.mkv").write_bytes(azure_bytes(scenes(4), [0, 333, 666, 999], lacing=2))
    with pytest.raises(FormatError, match="lacing"):
        probe_video(str(tmp_path / "laced.mkv"))
    stripped = element(0x6D80, element(0x6240, element(0x5034, element(0x4254, b"\3") + element(0x4255, b"\0"))))
    (tmp_path / "stripped.mkv").write_bytes(azure_bytes(scenes(4), [0, 333, 666, 999], encodings=stripped))
    with pytest.raises(FormatError, match="compressed by the container"):
        probe_video(str(tmp_path / "stripped.mkv"))


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_no_damage_to_a_container_passes_or_hangs(written, tmp_path_factory, place, value):
    """Any changed byte: right frames, fewer of them, or an error of ours that names the file."""
    path, film = written["mkv"]
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    broken = tmp_path_factory.mktemp("byte") / "depth.mkv"
    broken.write_bytes(data)
    told, got = str(broken), []
    try:
        source = source_of(broken, "DEPTH")
        got = source.read(0, source.shape[0])
    except FormatError as error:
        told = str(error)
    assert str(broken) in told
    if len(got):
        known = {frame.tobytes() for frame in np.concatenate([film, 65535 - film])}
        assert all(frame.tobytes() in known for frame in got)
