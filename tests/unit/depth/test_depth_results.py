"""results_NN.h5: every path, type, shape and attribute; equal bytes for any blocks; read back, also from others."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray
from reelarray.depth.h5values import read_values, write_values
from reelarray.depth.options import resolve_config
from reelarray.depth.optiontable import TABLE
from reelarray.depth.results import CHUNK, Extraction, ResultsFile, compressed
from reelarray.depth.resultsread import load_extraction_meta_from_h5s, open_results, read_metadata, read_uuid
from reelarray.depth.resultswrite import write_results
from reelarray.depth.scalarnames import EXTRA_SCALARS, SCALARS, units
from reelarray.errors import ClockError, FormatError, RecordingError

FRAMES, CROP, SCENE = 150, (6, 8), (12, 16)
ACQUISITION = {
    "SubjectName": "mouse 3", "StartTime": "2024-05-01T10:20:30.1234567+02:00", "NidaqChannels": 0, "Gain": 1.5,
    "DepthResolution": [512, 424], "IsLittleEndian": True, "Note": None, "Streams": ["depth", "ünï"],
    "Mixed": [1, "a"], "Rig": {"box": 2, "lamp": None}, "path/name": "x", "Large": 2**70, "Empty": [],
}  # fmt: skip
SEVENTEEN = [
    "angle", "area_mm", "area_px", "centroid_x_mm", "centroid_x_px", "centroid_y_mm", "centroid_y_px", "height_ave_mm",
    "length_mm", "length_px", "velocity_2d_mm", "velocity_2d_px", "velocity_3d_mm", "velocity_3d_px", "velocity_theta",
    "width_mm", "width_px",
]  # fmt: skip


def content(frames: int = FRAMES, *, dtype: str = "uint8", tracked: bool = False) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    found = {
        "frames": random.integers(0, 200, (frames, *CROP)).astype(dtype),
        "mask": random.normal(size=(frames, *CROP)).astype("f4") if tracked else random.random((frames, *CROP)) > 0.5,
        "flips": random.random(frames) > 0.5,
        "flags": random.integers(0, 64, frames).astype("u1"),
    }
    scalars = {name: random.normal(size=frames) for name in [*SCALARS, *EXTRA_SCALARS]}
    scalars["angle"][3:4] = np.nan
    return found | {"scalars": scalars}


def extraction(frames: int = FRAMES) -> Extraction:
    background = np.random.default_rng(2).normal(670, 2, SCENE)
    first = background.astype("u2")
    return Extraction(
        background, background > 669, first, 7, 7 + frames, 673.5, (106, 49), {"plane": [0.1, 0.2, 670.0]}
    )


def write(path: Path, blocks: list[int] | int, frames: int = FRAMES, *, direct: bool = False, **more) -> Path:
    """`blocks` are sizes of blocks; `direct` hands over compressed chunks."""
    parts = content(frames, dtype=more.get("frame_dtype", "uint8"), tracked=more.get("mask_dtype", "bool") != "bool")
    sizes = [blocks] * (frames // blocks + 1) if isinstance(blocks, int) else blocks
    given = {"uuid": "0f8c", "acquisition": ACQUISITION, "parameters": resolve_config(), "flips": True, "flags": True}
    given |= {"timestamps": 1000 + np.arange(frames) * 100 / 3, "extraction": extraction(frames)} | more
    with ResultsFile(path, frames=frames, crop_size=CROP, **given) as file:
        start = 0
        for size in [CHUNK] * (frames // CHUNK + 1) if direct else sizes:
            rows = slice(start, min(start + size, frames))
            if rows.start == rows.stop:
                continue
            block, mask = parts["frames"][rows], parts["mask"][rows]
            each = {"flips": parts["flips"][rows] if given["flips"] else None}
            each["flags"] = parts["flags"][rows] if given["flags"] else None
            scalars = {name: values[rows] for name, values in parts["scalars"].items()}
            if direct:
                file.write_compressed(start, compressed(block), compressed(mask), scalars, **each)
            else:
                file.write(start, block, mask, scalars, **each)
            start = rows.stop
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("results") / "results_00.h5", FRAMES)


TEXT = object()
N, ROWS = FRAMES, (FRAMES,)
LAYOUT = {  # path: shape, type, chunks (None: not compressed)
    "frames": ((N, *CROP), np.uint8, (64, *CROP)),
    "frames_mask": ((N, *CROP), np.bool_, (64, *CROP)),
    **{f"scalars/{name}": (ROWS, np.float32, ROWS) for name in [*SEVENTEEN, *EXTRA_SCALARS]},
    "timestamps": (ROWS, np.float64, ROWS),
    "metadata/uuid": ((), TEXT, None),
    "metadata/extraction/background": (SCENE, np.float64, SCENE),
    "metadata/extraction/roi": (SCENE, np.bool_, SCENE),
    "metadata/extraction/first_frame": (SCENE, np.uint16, SCENE),
    "metadata/extraction/first_frame_idx": ((1,), np.int64, None),
    "metadata/extraction/last_frame_idx": ((1,), np.int64, None),
    "metadata/extraction/true_depth": ((), np.float64, None),
    "metadata/extraction/extract_version": ((), np.dtype(f"S{len('reelarray ' + reelarray.__version__)}"), None),
    "metadata/extraction/roi_origin": ((2,), np.int64, None),
    "metadata/extraction/plane": ((3,), np.float64, None),
    "metadata/extraction/flips": (ROWS, np.bool_, ROWS),
    "metadata/extraction/flags": (ROWS, np.uint8, ROWS),
    "metadata/acquisition/SubjectName": ((), TEXT, None),
    "metadata/acquisition/StartTime": ((), TEXT, None),
    "metadata/acquisition/NidaqChannels": ((), np.int64, None),
    "metadata/acquisition/Gain": ((), np.float64, None),
    "metadata/acquisition/DepthResolution": ((2,), np.int64, None),
    "metadata/acquisition/IsLittleEndian": ((), np.bool_, None),
    "metadata/acquisition/Note": (None, np.float32, None),
    "metadata/acquisition/Streams": ((2,), TEXT, None),
    "metadata/acquisition/Mixed": ((), TEXT, None),
    "metadata/acquisition/Rig/box": ((), np.int64, None),
    "metadata/acquisition/Rig/lamp": (None, np.float32, None),
    "metadata/acquisition/path_name": ((), TEXT, None),
    "metadata/acquisition/Large": ((), TEXT, None),
    "metadata/acquisition/Empty": ((0,), np.float64, None),
}
DESCRIBED = ["frames", "frames_mask", "timestamps", "metadata/extraction/flips", "metadata/extraction/flags"]
DESCRIBED += [f"scalars/{name}" for name in [*SEVENTEEN, *EXTRA_SCALARS]]
PARAMETERS = {
    "min_height": np.int64, "noise_tolerance": np.float64, "use_cc": np.bool_, "frame_dtype": TEXT,
    "bg_roi_weights": TEXT, "num_frames": TEXT, "flip_classifier": TEXT, "crop_size": TEXT,
}  # fmt: skip


def test_every_dataset(whole: Path) -> None:
    with h5py.File(whole) as file:
        found = {}
        file.visititems(lambda name, item: found.__setitem__(name, item) if isinstance(item, h5py.Dataset) else None)
        prefix = "metadata/extraction/parameters/"
        assert {name for name in found if not name.startswith(prefix)} == set(LAYOUT)
        for name, (shape, dtype, chunks) in LAYOUT.items():
            item = found[name]
            assert item.shape == shape, name
            if dtype is TEXT:
                said = h5py.check_string_dtype(item.dtype)
                assert (said.encoding, said.length) == ("utf-8", None), name
            else:
                assert item.dtype == dtype, name
            assert item.chunks == chunks, name
            assert item.compression == ("gzip" if chunks else None), name
            assert set(item.attrs) == (
                {"description"} if name in DESCRIBED or name.endswith(("flips", "flags")) else set()
            )
            assert all(isinstance(text, str) and text for text in item.attrs.values())
        assert {name.removeprefix(prefix) for name in found if name.startswith(prefix)} == set(TABLE)
        for name in TABLE:
            assert found[prefix + name].attrs["description"] == TABLE[name].meaning
        for name, dtype in PARAMETERS.items():
            item = found[prefix + name]
            assert h5py.check_string_dtype(item.dtype) if dtype is TEXT else item.dtype == dtype
        assert found[prefix + "num_frames"].asstr()[()] == ""
        assert found[prefix + "tail_filter_size"][()].tolist() == [9, 9]


def test_every_value(whole: Path) -> None:
    parts, scene = content(), extraction()
    with h5py.File(whole) as file:
        np.testing.assert_array_equal(file["frames"][()], parts["frames"])
        np.testing.assert_array_equal(file["frames_mask"][()], parts["mask"])
        for name, values in parts["scalars"].items():
            np.testing.assert_array_equal(file[f"scalars/{name}"][()], values.astype("f4"))
        found = file["metadata/extraction"]
        np.testing.assert_array_equal(found["background"][()], scene.background)
        np.testing.assert_array_equal(found["roi"][()], scene.roi)
        np.testing.assert_array_equal(found["first_frame"][()], scene.first_frame)
        np.testing.assert_array_equal(found["flips"][()], parts["flips"])
        np.testing.assert_array_equal(found["flags"][()], parts["flags"])
        assert found["first_frame_idx"][()].tolist() + found["last_frame_idx"][()].tolist() == [7, 7 + FRAMES]
        assert found["roi_origin"][()].tolist() == [106, 49]
        assert found["true_depth"][()] == 673.5
        assert found["extract_version"][()] == f"reelarray {reelarray.__version__}".encode()
        assert file["metadata/uuid"].asstr()[()] == "0f8c"
        np.testing.assert_array_equal(file["timestamps"][()], 1000 + np.arange(FRAMES) * 100 / 3)
        said = read_values(file["metadata/acquisition"])
    kept = ACQUISITION | {"path_name": "x", "Mixed": '[1, "a"]', "Large": str(2**70)}
    del kept["path/name"]
    assert said == kept


def test_what_was_not_done_is_absent(tmp_path: Path) -> None:
    path = write(tmp_path / "r.h5", 100, flips=False, flags=False, timestamps=None)
    with h5py.File(path) as file:
        assert "timestamps" not in file
        assert not {"flips", "flags"} & set(file["metadata/extraction"])


def test_other_types_of_crops_and_masks(tmp_path: Path) -> None:
    path = write(tmp_path / "r.h5", 37, frame_dtype="uint16", mask_dtype="float32")
    parts = content(dtype="uint16", tracked=True)
    with h5py.File(path) as file:
        assert (file["frames"].dtype, file["frames_mask"].dtype) == (np.uint16, np.float32)
        np.testing.assert_array_equal(file["frames"][()], parts["frames"])
        np.testing.assert_array_equal(file["frames_mask"][()], parts["mask"])


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from([1, 63, 64, 65, 128, 150]), st.sampled_from([0, 1, 3]))
def test_bytes_do_not_depend_on_blocks_or_threads(tmp_path_factory, data, frames, threads) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, frames), max_size=6)) | {frames})
    sizes = np.diff([0, *cuts]).tolist()
    folder = tmp_path_factory.mktemp("b")
    one = write(folder / "one.h5", frames, frames, threads=0)
    assert digest(one) == digest(write(folder / "cut.h5", sizes, frames, threads=threads))
    assert digest(one) == digest(write(folder / "direct.h5", CHUNK, frames, threads=threads, direct=True))


@pytest.mark.parametrize("size", [40, CHUNK, 200])
def test_the_callers_arrays_may_be_filled_anew(tmp_path: Path, size: int) -> None:
    parts = content(size)
    given = {"frames": 4 * size, "crop_size": CROP, "uuid": "1", "extraction": extraction(), "threads": 2}
    with ResultsFile(tmp_path / "r.h5", **given) as file:
        block, mask = np.empty_like(parts["frames"]), np.empty_like(parts["mask"])
        for turn in range(4):
            block[:], mask[:] = parts["frames"] + turn, parts["mask"]
            file.write(turn * size, block, mask, parts["scalars"])
    with h5py.File(tmp_path / "r.h5") as stored:
        for turn in range(4):
            np.testing.assert_array_equal(stored["frames"][turn * size : (turn + 1) * size], parts["frames"] + turn)


def test_a_killed_run_leaves_no_file_and_the_next_makes_the_same(tmp_path: Path, whole: Path) -> None:
    target = tmp_path / "results_00.h5"
    code = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_depth_results as t
        parts = t.content()
        with t.ResultsFile({str(target)!r}, frames=t.FRAMES, crop_size=t.CROP, uuid="0f8c",
                           extraction=t.extraction()) as file:
            some = {{name: values[:100] for name, values in parts["scalars"].items()}}
            file.write(0, parts["frames"][:100], parts["mask"][:100], some)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    assert not target.exists()
    write(target, 33)
    assert digest(target) == digest(whole)


def partly(path: Path, frames: int, error: type[Exception] | None = None) -> None:
    parts = content()
    with ResultsFile(path, frames=FRAMES, crop_size=CROP, uuid="1", extraction=extraction()) as file:
        some = {name: values[:frames] for name, values in parts["scalars"].items()}
        file.write(0, parts["frames"][:frames], parts["mask"][:frames], some)
        if error is not None:
            raise error


def test_an_error_leaves_nothing_and_what_was_there(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "results_00.h5"
    path.write_bytes(whole.read_bytes())
    with pytest.raises(ZeroDivisionError):
        partly(path, FRAMES, ZeroDivisionError)
    with pytest.raises(RecordingError, match="100 frames were written; 150 were promised"):
        partly(path, 100)
    assert os.listdir(tmp_path) == ["results_00.h5"]
    assert digest(path) == digest(whole)


def refused(tmp_path: Path, said: str, write_with) -> None:
    parts = content()
    with (
        pytest.raises(RecordingError, match=said),
        ResultsFile(
            tmp_path / "r.h5", frames=FRAMES, crop_size=CROP, uuid="1", extraction=extraction(), flips=True
        ) as file,
    ):
        write_with(file, parts)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("frames 5 to 155 were given", {"start": 5}),
        ("no scalars angle", {"scalars": lambda s: {k: v for k, v in s.items() if k != "angle"}}),
        (r"frames of shape \(150, 6, 8\), uint16 were given", {"frames": lambda f: f.astype("u2")}),
        (r"masks of shape \(150, 6, 7\)", {"mask": lambda m: m[..., :7]}),
        (r"masks of shape \(149, 6, 8\)", {"mask": lambda m: m[:-1]}),
        ("flips are to be given", {"flips": lambda f: None}),
    ],
)
def test_blocks_that_do_not_fit(tmp_path: Path, said: str, change) -> None:
    def one(file, parts):
        given = {k: change.get(k, lambda v: v)(parts[k]) for k in ("frames", "mask", "scalars", "flips")}
        file.write(change.get("start", 0), given["frames"], given["mask"], given["scalars"], flips=given["flips"])

    refused(tmp_path, said, one)


def test_scalars_of_some_blocks_only(tmp_path: Path) -> None:
    def two(file, parts):
        for start, names in ((0, [*SCALARS]), (10, [*SCALARS, "speed_2d_mm_s"])):
            rows = slice(start, start + 10)
            some = {name: parts["scalars"][name][rows] for name in names}
            file.write(start, parts["frames"][rows], parts["mask"][rows], some, flips=parts["flips"][rows])

    refused(tmp_path, "the scalars speed_2d_mm_s are in some blocks only", two)


def test_compressed_chunks_begin_at_chunks(tmp_path: Path) -> None:
    def odd(file, parts):
        some = {name: values[:10] for name, values in parts["scalars"].items()}
        file.write(0, parts["frames"][:10], parts["mask"][:10], some, flips=parts["flips"][:10])
        file.write_compressed(10, b"", b"", some, flips=parts["flips"][:10])

    refused(tmp_path, "chunks begin at multiples of 64", odd)
    with pytest.raises(RecordingError, match="65 frames were given for one chunk"):
        compressed(np.zeros((65, 2, 2), "u1"))


def test_impossible_files(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="149 timestamps for 150 frames"):
        write(tmp_path / "r.h5", 10, timestamps=np.arange(149.0))
    with pytest.raises(RecordingError, match="0 frames"):
        ResultsFile(tmp_path / "r.h5", frames=0, crop_size=CROP, uuid="", extraction=extraction())
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "nowhere" / "r.h5", 10)


def test_the_seventeen_names() -> None:
    assert list(SCALARS) == SEVENTEEN
    assert {units(name) for name in [*SCALARS, *EXTRA_SCALARS]} == {"px", "mm", "mm2", "rad", "mm s-1", "rad s-1"}


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_read_back(whole: Path) -> None:
    parts, found = content(), open_results(whole)
    assert dict(found.sizes) == {"time": FRAMES, "y": 6, "x": 8, "scene_y": 12, "scene_x": 16}
    np.testing.assert_array_equal(found.frames, parts["frames"])
    np.testing.assert_array_equal(found.frames_mask, parts["mask"])
    np.testing.assert_array_equal(found.angle, parts["scalars"]["angle"].astype("f4"))
    np.testing.assert_array_equal(found.flips, parts["flips"])
    assert (found.frames.units, found.speed_2d_mm_s.units, found.timestamps.units) == ("mm", "mm s-1", "ms")
    assert found.attrs["uuid"] == "0f8c"
    assert found.attrs["roi_origin"] == [106, 49]
    assert (found.attrs["first_frame_idx"], found.attrs["last_frame_idx"]) == (7, 7 + FRAMES)
    assert json.loads(found.attrs["parameters"])["min_height"] == 10
    assert json.loads(found.attrs["metadata"])["SubjectName"] == "mouse 3"
    begin = np.datetime64("2024-05-01T08:20:30.123456700")
    steps = np.rint(np.arange(FRAMES) * 100e6 / 3).astype("timedelta64[ns]")
    np.testing.assert_array_equal(found.time.values, begin + steps)
    assert reelarray.rate(found.frames) == 30


def test_crops_are_read_when_they_are_used(whole: Path, monkeypatch) -> None:
    from reelarray.depth import resultsread

    asked = []
    read = resultsread.StoredArray._read
    monkeypatch.setattr(resultsread.StoredArray, "_read", lambda self, key: asked.append(key) or read(self, key))
    found = open_results(whole)
    assert asked == []
    parts = content()
    np.testing.assert_array_equal(found.frames[70:75, 2], parts["frames"][70:75, 2])
    assert asked == [(slice(70, 75, 1), 2, slice(None, None, None))]
    np.testing.assert_array_equal(found.frames[[5, 3], ::-1], parts["frames"][[5, 3], ::-1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).frames[140:], parts["frames"][140:])


def test_gaps_of_measured_times(tmp_path: Path) -> None:
    stamps = np.arange(FRAMES) * 33.3
    stamps[50:] += 120
    found = open_results(write(tmp_path / "r.h5", 64, timestamps=stamps, acquisition={}))
    assert found.time.dtype == "timedelta64[ns]"
    table = reelarray.segments(found.frames)
    assert len(table[~table.joined]) == 2
    np.testing.assert_array_equal(found.time.values, np.rint(stamps * 1e6).astype("timedelta64[ns]"))


def test_times_that_go_back(tmp_path: Path) -> None:
    stamps = np.arange(float(FRAMES))
    stamps[9] = 3
    path = write(tmp_path / "r.h5", 64, timestamps=stamps)
    with pytest.raises(ClockError, match="the time of frame 9, 3 ms, is not after 8 ms"):
        open_results(path)


def test_without_times_frames_are_even(tmp_path: Path) -> None:
    found = open_results(write(tmp_path / "r.h5", 64, timestamps=None, acquisition={}))
    assert "timestamps" not in found
    assert found.time.values[30] == np.timedelta64(1, "s")
    assert len(reelarray.segments(found.frames)) == 1


def test_files_of_others_are_read(tmp_path: Path) -> None:
    """An early file: no first_frame_idx, a signed first frame with a first axis, texts as bytes, float64 scalars."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = np.ones((5, 80, 80), "u1")
        file["scalars/centroid_x_mm"] = np.arange(5.0)
        file["scalars/angle"] = np.arange(5.0)
        file["metadata/timestamps"] = np.arange(5) * 33.0
        file["metadata/uuid"] = np.bytes_("abc")
        file["metadata/acquisition/SubjectName"] = np.bytes_("mouse")
        file["metadata/acquisition/Names"] = np.array([b"a", b"b"])
        file["metadata/acquisition/Nothing"] = h5py.Empty("f4")
        file["metadata/extraction/first_frame"] = np.full((1, 4, 5), -1, "i2")
        file["metadata/extraction/extract_version"] = np.bytes_("0.1")
        file["metadata/extraction/parameters/fps"] = 30
        file["metadata/extraction/parameters/flip_classifier"] = ""
    found = open_results(path)
    assert found.attrs["uuid"] == read_uuid(path) == "abc"
    assert found.attrs["extract_version"] == "0.1"
    assert "first_frame_idx" not in found.attrs
    assert (found.first_frame.shape, found.first_frame.dtype) == ((4, 5), "int16")
    assert found.timestamps.values.tolist() == [0, 33, 66, 99, 132]
    assert read_metadata(path, "metadata/acquisition") == {"SubjectName": "mouse", "Names": ["a", "b"], "Nothing": None}
    assert load_extraction_meta_from_h5s([({"uuid": "abc"}, path)]) == [
        ({"uuid": "abc"}, str(path), {"subject_name": "mouse", "names": ["a", "b"], "nothing": None})
    ]
    assert load_extraction_meta_from_h5s([({}, path)], snake_case=False)[0][2]["SubjectName"] == "mouse"


def test_metadata_of_extraction_stand_in(tmp_path: Path, whole: Path) -> None:
    path = write(tmp_path / "r.h5", 64, acquisition={})
    ((_, _, said),) = load_extraction_meta_from_h5s([({}, path)])
    assert said["true_depth"] == 673.5
    assert "background" not in said  # images and values of each frame are no metadata
    assert set(said["parameters"]) == set(TABLE)


@pytest.mark.parametrize("cut", [0, 100, 5000])
def test_files_that_are_no_results(tmp_path: Path, whole: Path, cut: int) -> None:
    path = tmp_path / "died.h5"
    path.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"died\.h5 is no whole HDF5 file"):
        open_results(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_results(tmp_path / "nowhere.h5")


def test_other_hdf5_files(tmp_path: Path, whole: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(FormatError, match=r"other\.h5 holds something; frames"):
        open_results(tmp_path / "other.h5")
    with pytest.raises(FormatError, match=r"no group 'metadata/misc'.*acquisition, extraction, uuid"):
        read_metadata(whole, "metadata/misc")


def test_names_never_share_a_dataset() -> None:
    with h5py.File("values", "w", driver="core", backing_store=False) as file:
        write_values(file, {"a/b": 1, "a_b": 2, ".": 3, "": 4, "n\0l": "x\0y", "bad": "\ud800"})
        assert sorted(read_values(file).items(), key=str) == [
            ("_", 4), ("__", 3), ("a_b", 1), ("a_b_", 2), ("bad", "?"), ("nl", "xy"),
        ]  # fmt: skip


# ---- writing arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, 37, 64, -1])
@pytest.mark.parametrize("block", [10, 64, 1000])
def test_what_is_read_is_written_as_it_was(tmp_path: Path, whole: Path, chunks, block: int) -> None:
    found = open_results(whole)
    found = found if chunks is None else found.chunk(time=chunks)
    assert digest(write_results(found, tmp_path / "again.h5", block=block)) == digest(whole)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_through_a_zarr_store(tmp_path: Path, whole: Path) -> None:
    found = reelarray.forget_clock(open_results(whole))
    found.drop_encoding().to_zarr(tmp_path / "r.zarr", zarr_format=3)
    with xr.open_zarr(tmp_path / "r.zarr") as stored:
        assert digest(write_results(stored, tmp_path / "again.h5")) == digest(whole)


def test_a_file_of_plain_facts_comes_back(tmp_path: Path) -> None:
    one = write(tmp_path / "r.h5", 64, flips=False, flags=False, timestamps=None, mask_dtype="float32", acquisition={})
    assert digest(write_results(open_results(one), tmp_path / "again.h5")) == digest(one)


def test_an_extraction_without_all_of_it(tmp_path: Path, whole: Path) -> None:
    found = open_results(whole)
    with pytest.raises(RecordingError, match="angle, uuid are missing"):
        write_results(found.drop_vars("angle").drop_attrs().assign_attrs(true_depth=1), tmp_path / "r.h5")
    with pytest.raises(RecordingError, match="the attribute metadata is '3'"):
        write_results(found.assign_attrs(metadata="3"), tmp_path / "r.h5")
    assert os.listdir(tmp_path) == []
