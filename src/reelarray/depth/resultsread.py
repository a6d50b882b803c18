"""results_NN.h5 back to arrays over time, ours and those of moseq2-extract, and what files of a folder say."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from ..clock import SampleClock
from ..errors import ClockError, FormatError
from ..exact import exact_rate
from ..formats.depth.stamps import nominal_rate
from ..formats.stated import date_time
from ..joining import long_steps
from ..recordings import label
from .h5values import read_value, read_values
from .results import CHUNK
from .scalarnames import units

log = logging.getLogger(__name__)

_IMAGES = {"background": "mm", "roi": "1", "first_frame": "mm"}
_PER_FRAME = ("flips", "flags")
_FACTS: Any = {"longest": 1000, "without": (*_IMAGES, *_PER_FRAME)}  # neither images nor values of each frame
_OTHER_RATE = Fraction(30)  # frames a second of files that state none: that of the cameras of the field


class StoredArray(BackendArray):
    """A dataset of an HDF5 file as xarray's lazy array; the file is open while it is read, and no longer.

    Results that were written anew meanwhile are others than those that were opened: reading them is refused.
    """

    def __init__(self, path: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, np.dtype(dtype)
        self.written = _written(path)

    def __getitem__(self, key: ExplicitIndexer) -> np.ndarray:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with h5py.File(self.path, locking=False) as file:
            if _written(self.path) != self.written:
                raise FormatError(f"{self.path} was written anew since it was opened: open it again")
            return np.asarray(file[self.name][key])


def _written(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def open_results(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open results_NN.h5: frames, frames_mask (time, y, x), the scalars (time), and the scene; crops are read lazily.

    `time` has the measured time of each frame, with gaps, from the StartTime of the recording where it is known;
    `timestamps` has the camera's ms. Attributes: uuid, true_depth, roi_origin, first_frame_idx, last_frame_idx,
    extract_version, and as JSON texts metadata (of the recording), parameters, and extraction (what else is known of
    it). Files of moseq2-extract are read as well, also early ones without first_frame_idx.

    Raises
    ------
    FileNotFoundError : no such file
    FormatError : no such results, such as a file that a run left when it died
    ClockError : times that do not increase

    >>> import tempfile
    >>> from reelarray.depth.results import Extraction, ResultsFile
    >>> from reelarray.depth.scalarnames import SCALARS
    >>> scene = Extraction(np.zeros((4, 5)), np.ones((4, 5), bool), np.zeros((4, 5), "u2"), 0, 3, 673.0)
    >>> more = {"uuid": "1", "extraction": scene, "timestamps": np.array([0.0, 33.0, 66.0])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ResultsFile(f"{folder}/results_00.h5", frames=3, crop_size=(2, 2), **more) as file:
    ...         file.write(0, np.ones((3, 2, 2), "u1"), np.ones((3, 2, 2), bool), {n: np.zeros(3) for n in SCALARS})
    ...     results = open_results(f"{folder}/results_00.h5")
    ...     dict(results.frames.sizes), results.true_depth, results.angle.units, results.time.values[1]
    ({'time': 3, 'y': 2, 'x': 2}, 673.0, 'rad', np.timedelta64(33000000,'ns'))
    """
    path = os.path.abspath(path)
    with _opened(path) as file:
        frames, about = file["frames"], _described(file)
        count = frames.shape[0]
        data: dict[str, Any] = {}
        for name in ("frames", "frames_mask"):
            if name in file:
                data[name] = (("time", "y", "x"), _lazy(path, file[name]), _attrs(file[name], "1"))
        data["frames"][2]["units"] = "mm"
        for name, stored in file["scalars"].items() if "scalars" in file else ():
            data[name] = ("time", stored[()], _attrs(stored, units(name)))
        found = file.get("metadata/extraction", {})
        for name in _PER_FRAME:
            if name in found and found[name].shape == (count,):
                data[name] = ("time", found[name][()], _attrs(found[name], "1"))
        for name, unit in _IMAGES.items():
            if name in found:
                image = found[name][()]  # some have a first axis of length 1
                data[name] = (("scene_y", "scene_x"), image.reshape(image.shape[-2:]), {"units": unit})
        stamps = _timestamps(file)
    out = xr.Dataset(data, attrs=about)
    clock = _clock(path, count, stamps, about)
    out = out.assign_coords(label(np.zeros(count, bool), clock).coords)
    if stamps is not None:
        said = {"units": "ms", "long_name": "time by the camera's clock"}
        out = out.assign_coords(timestamps=("time", stamps, said))
    return out


def read_metadata(path: str | os.PathLike[str], group: str = "metadata") -> dict[str, Any]:
    """What is below a group of results_NN.h5 as plain values, without images and values of each frame.

    Raises
    ------
    FileNotFoundError, FormatError : as `open_results`; FormatError too where there is no such group

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"] = np.ones((2, 3, 3), "u1")
    ...         file["metadata/uuid"], file["metadata/acquisition/SubjectName"] = "1", "mouse"
    ...     read_metadata(f"{folder}/results_00.h5")
    {'acquisition': {'SubjectName': 'mouse'}, 'uuid': '1'}
    """
    with _opened(os.path.abspath(path)) as file:
        if not isinstance(file.get(group), h5py.Group):
            told = f"{path} has no group {group!r}; its groups are {', '.join(file)}, and those of its metadata"
            raise FormatError(f"{told} {', '.join(file['metadata']) if 'metadata' in file else 'none'}")
        return read_values(file[group], **_FACTS)


def read_uuid(path: str | os.PathLike[str]) -> str:
    """The uuid of results_NN.h5, "" where it has none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"] = np.ones((2, 3, 3), "u1")
    ...         file["metadata/uuid"], file["metadata/acquisition/SubjectName"] = "1", "mouse"
    ...     read_uuid(f"{folder}/results_00.h5")
    '1'
    """
    with _opened(os.path.abspath(path)) as file:
        return str(read_value(file["metadata/uuid"])) if "metadata/uuid" in file else ""


def load_extraction_meta_from_h5s(
    to_load: Iterable[tuple[Mapping[str, Any], str | os.PathLike[str]]], snake_case: bool = True
) -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """What results say of their recordings: status and file -> status, file, metadata; one of each, in their order.

    Metadata are those of metadata/acquisition, else of metadata/extraction, else {}, with keys in snake_case.

    Parameters
    ----------
    to_load : pairs of what results_NN.yaml says and the path of results_NN.h5
    snake_case : SessionName becomes session_name

    Raises
    ------
    FormatError : a file that is no results; the message has its name

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"] = np.ones((2, 3, 3), "u1")
    ...         file["metadata/uuid"], file["metadata/acquisition/SubjectName"] = "1", "mouse"
    ...     load_extraction_meta_from_h5s([({"complete": True}, f"{folder}/results_00.h5")])[0][2]
    {'subject_name': 'mouse'}
    """
    loaded = []
    for status, path in to_load:
        with _opened(os.path.abspath(path)) as file:
            found: dict[str, Any] = {}
            for group in ("metadata/acquisition", "metadata/extraction"):
                if not found and isinstance(file.get(group), h5py.Group):
                    found = read_values(file[group], **_FACTS)
        loaded.append((dict(status), os.fspath(path), snake_cased(found) if snake_case else found))
    return loaded


def snake_cased(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys in snake_case; where two become one, the first has it.

    >>> snake_cased({"SessionName": "a", "IsLittleEndian": True, "uuid": 1})
    {'session_name': 'a', 'is_little_endian': True, 'uuid': 1}
    """
    out: dict[str, Any] = {}
    for key, value in values.items():
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key)
        out.setdefault(re.sub(r"[\s_-]+", "_", parted).lower(), value)
    return out


# ---- inside ----------------------------------------------------------------------------------------------------------


class _opened:
    """An HDF5 file of results, open for a block of statements; `FormatError` where it is another."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> h5py.File:
        if not os.path.exists(self.path):
            raise FileNotFoundError(f"there is no file {self.path}")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            told = " ".join(str(error).split())
            raise FormatError(
                f"{self.path} is no whole HDF5 file ({told}), as a run leaves that died: extract it again"
            ) from None
        if "frames" not in self._file or self._file["frames"].ndim != 3:
            inside = ", ".join(self._file) or "nothing"
            self._file.close()
            raise FormatError(f"{self.path} holds {inside}; frames (time, y, x) were expected: extract it again")
        return self._file

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _lazy(path: str, stored: h5py.Dataset) -> Any:
    array = StoredArray(path, stored.name, stored.shape, stored.dtype)
    variable = xr.Variable(("time", "y", "x"), LazilyIndexedArray(array))
    variable.encoding["preferred_chunks"] = {"time": (stored.chunks or (CHUNK,))[0]}
    return variable


def _attrs(stored: h5py.Dataset, unit: str) -> dict[str, Any]:
    said = stored.attrs.get("description")
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
    return {"units": unit} | ({"long_name": str(said)} if said is not None else {})


def _described(file: h5py.File) -> dict[str, Any]:
    about: dict[str, Any] = {}
    known = ("true_depth", "roi_origin", "first_frame_idx", "last_frame_idx", "extract_version")
    if "metadata/uuid" in file:
        about["uuid"] = str(read_value(file["metadata/uuid"]))
    found = file.get("metadata/extraction", {})
    for name in known:
        if name in found:
            value = read_value(found[name])
            about[name] = value[0] if name.endswith("_idx") and isinstance(value, list) else value
    for name, group in (("metadata", "metadata/acquisition"), ("parameters", "metadata/extraction/parameters")):
        if isinstance(file.get(group), h5py.Group):
            about[name] = json.dumps(read_values(file[group]))
    if isinstance(found, h5py.Group):
        more = read_values(found, longest=1000, without=(*_IMAGES, *_PER_FRAME, *known, "parameters"))
        about |= {"extraction": json.dumps(more)} if more else {}
    return about


def _timestamps(file: h5py.File) -> np.ndarray | None:
    for name in ("timestamps", "metadata/timestamps"):  # the second in early files
        if name in file and file[name].shape == file["frames"].shape[:1]:
            return file[name][()].astype(np.float64)
    return None


def _clock(path: str, count: int, stamps: np.ndarray | None, about: Mapping[str, Any]) -> SampleClock:
    said = json.loads(about.get("parameters", "{}")).get("fps")
    rate = exact_rate(said) if isinstance(said, int | float) and said > 0 else _OTHER_RATE
    start = json.loads(about.get("metadata", "{}")).get("StartTime")
    start_ns, _ = date_time(start if isinstance(start, str) else None)
    begin, absolute = start_ns or 0, start_ns is not None
    if stamps is None:
        return SampleClock.regular(count, rate, begin, absolute=absolute)
    steps = np.diff(stamps)
    if not (steps > 0).all():
        at = int(np.argmin(steps > 0))
        told = f"the time of frame {at + 1}, {stamps[at + 1]:g} ms, is not after {stamps[at]:g} ms, that of frame {at}"
        raise ClockError(f"{path}: {told}: write the file again with times that increase")
    joined = np.ones(count, bool)
    joined[[0, *long_steps(stamps)]] = False
    starts = begin + np.rint((stamps - stamps[0]) * 1e6).astype(np.int64)
    rate = nominal_rate(stamps, rate)
    return SampleClock.of_segments(starts, np.ones(count, np.int64), rate, joined=joined, absolute=absolute)
