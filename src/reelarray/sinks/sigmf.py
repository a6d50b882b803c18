"""SigMF recordings: samples in one file, block by block, and what is known of them in JSON beside it."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..annotated import TIMES, annotation_times
from ..clock import SampleClock
from ..errors import FormatError, RecordingError
from ..formats.sigmf.document import Datatype
from ..formats.sigmf.files import ARCHIVE, DATA, META
from ..recordings import check_recording
from ..recordings import clock as clock_of
from .atomic import check_folder, writing_all
from .journal import OutputExists
from .sigmfmeta import as_bytes, captures_of, global_of, write_document
from .sigmfsamples import Encoder, write_samples

_TAR_BLOCK = 512
# What the metadata of a file that was read said of its own bytes and times: said anew of ours.
_OWN = (
    "datatype",
    "version",
    "sample_rate",
    "num_channels",
    "sha512",
    "offset",
    "dataset",
    "trailing_bytes",
    "recorder",
)


def write_sigmf(
    x: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    datatype: str | None = None,
    full_scale: float | None = None,
    clip: bool = False,
    annotations: Sequence[Mapping[str, Any]] | None = None,
    description: str | None = None,
    author: str | None = None,
    about: Mapping[str, Any] | None = None,
    sha512: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write samples, (time[, channel][, iq]) [u], to a SigMF recording or archive, and return its path. Computes them.

    Each block is written to its place by the task that computes it, with the scheduler in use. The files appear under
    their names when they are whole, the metadata last. Every gap begins a capture, with `core:global_index`, and
    `core:datetime` where the start is known; `ra.open_recording` gives floats back to the bit, with the same times.
    (Files that were joined with some drift run at their nominal rate from the start of each stretch on.)

    Parameters
    ----------
    x : a recording, complex or real, or pairs of integers along a last dimension `iq`
    path : name.sigmf-meta (the samples go to name.sigmf-data), or name.sigmf, an archive of both; its folder must exist
    datatype : such as "cf32_le", "ci16_le", "ri32_be", "cu8"; that of x, little-endian, unless given
    full_scale : value in units of x that becomes the largest integer. Samples in units "1" are relative to it (1.0)
        unless given, others need it. Integers stay the counts that they are, and it is noted for those who read them
    clip : let integers end at their limits (NaN becomes 0) instead of raising; how many did is noted in the file
    annotations : dicts with SigMF's keys, whose `core:sample_start` is a row of x; those of x, where they lie in this
        part of it, unless given
    description, author : texts
    about : more keys of `global`, such as {"core:license": "..."}
    sha512 : note the hash of the samples, for which they are read once more
    overwrite : replace files of these names

    Raises
    ------
    RecordingError : an unknown datatype, complex samples into a real one or the reverse, no full scale, samples that
        integers cannot tell (counted), annotations beyond the recording
    OutputExists : files of these names are there
    FileNotFoundError : their folder is not

    >>> import tempfile
    >>> from reelarray import open_recording, recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_sigmf(recording([1 + 2j, 3j], rate=5), f"{folder}/x.sigmf-meta", datatype="cf32_le")
    ...     path.name, open_recording(path, cache=False).values
    ('x.sigmf-meta', array([1.+2.j, 0.+3.j], dtype=complex64))
    """
    x, clock = _check(x)
    stored = _datatype(x, datatype)
    encode = _encoder(x, stored, full_scale, clip)
    name, archive = _base_name(Path(path))
    targets = [name.with_name(name.name + ARCHIVE)] if archive else [_with(name, DATA), _with(name, META)]
    _check_free(targets, overwrite)
    channels = x.sizes.get("channel", 1)
    said = _global(x, clock, stored, channels, encode, full_scale, author, description, about)
    captures = _captures(x, clock)
    marks = _annotations(x, clock, annotations)
    block = stored.width * channels * (2 if stored.pairs else 1)
    folder = b"" if not archive else _tar_header(name.name, None)
    begin = 0 if not archive else len(folder) + len(_tar_header(f"{name.name}/{name.name}{DATA}", len(x) * block))
    with writing_all(targets) as temporaries:
        data = temporaries[0]
        data.touch()
        seen = write_samples(x, data, begin, block, encode)
        said |= _seen(seen, encode, x, clock, targets[0])
        if sha512:
            said["core:sha512"] = _sha512(data, begin)
        if archive:
            _finish_archive(data, name.name, folder, len(x) * block, as_bytes(said, captures, marks))
        else:
            write_document(temporaries[1], said, captures, marks)
            if overwrite:  # other metadata must not be found beside these samples, not even for a moment
                targets[1].unlink(missing_ok=True)
    return targets[-1]


# ---- checks ----------------------------------------------------------------------------------------------------------


def _check(x: xr.DataArray) -> tuple[xr.DataArray, SampleClock]:
    x = check_recording(x)
    dims = x.dims[1:]
    pairs = dims[-1:] == ("iq",)
    if (dims[:-1] if pairs else dims) not in ((), ("channel",)) or (
        pairs and (x.dtype.kind != "i" or len(x["iq"]) != 2)
    ):
        raise RecordingError(
            f"{x.dtype} of dimensions {x.dims} was given; samples (time) or (time, channel), or integers with a last "
            "dimension iq of 2, were expected: ra.write_zarr keeps any other array"
        )
    clock = clock_of(x)
    if not clock.size:
        raise RecordingError("a recording without a sample was given: there is nothing to write")
    return x, clock


def _datatype(x: xr.DataArray, name: str | None) -> Datatype:
    pairs = "iq" in x.dims
    if name is None:
        kind, width = x.dtype.kind, x.dtype.itemsize
        # Unsigned numbers of SigMF have their zero in the middle, ours have not: they need one more bit.
        width = {"c": width // 2, "f": max(width, 4), "i": width, "u": 2 * width}[kind]
        letter = "i" if kind in "iu" else "f"
        if letter == "i" and width > 4:
            raise RecordingError(f"{x.dtype} samples were given; SigMF has integers up to 32 bits: pass datatype=")
        order = "_le" if width > 1 else ""
        name = f"{'c' if pairs or kind == 'c' else 'r'}{letter}{8 * width}{order}"
    try:
        stored = Datatype.of(name, "")
    except FormatError:
        raise RecordingError(
            f"datatype={name!r} was given; c (I, Q) or r (real), one of f32 f64 i32 i16 u32 u16 i8 u8, and _le or _be "
            "for more than 8 bits was expected, such as 'cf32_le'"
        ) from None
    if stored.pairs != (pairs or x.dtype.kind == "c"):
        given = "complex" if not stored.pairs else "real"
        way = "write x.real, or 'c" if not stored.pairs else "make them complex first (ra.analytic), or 'r"
        raise RecordingError(f"datatype={name!r} was given for {given} samples: {way}{name[1:]}'")
    if pairs and not stored.integer:
        raise RecordingError(f"datatype={name!r} was given for counts; open them with calibrated=True to write floats")
    return stored


def _encoder(x: xr.DataArray, stored: Datatype, full_scale: float | None, clip: bool) -> Encoder:
    if full_scale is not None and not (np.isfinite(full_scale) and full_scale > 0):
        raise RecordingError(
            f"full_scale={full_scale!r} was given; a value above 0 in units of the samples was expected"
        )
    if not stored.integer or x.dtype.kind in "iu":
        return Encoder(stored, 0.0, clip)
    units = str(x.attrs.get("units", "1"))
    if full_scale is None and units != "1":
        head = np.asarray(x.data[:65536])
        largest = float(np.nanmax(np.abs(head.view(head.real.dtype)), initial=0.0))
        raise RecordingError(
            f"samples in {units} become {stored.name} only with full_scale=, the value of the largest integer: the "
            f"first {len(head)} reach {largest:.3g}, so full_scale={4 * largest or 1.0:.2g} may do; or write cf32_le"
        )
    return Encoder(stored, 2 ** (8 * stored.width - 1) / (full_scale or 1.0), clip)


def _base_name(path: Path) -> tuple[Path, bool]:
    """The name without suffix, and whether it is that of an archive."""
    for suffix in (META, DATA, ARCHIVE):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.with_name(path.name[: -len(suffix)]), suffix == ARCHIVE
    raise RecordingError(f"{path} was given; a name that ends in {META}, or in {ARCHIVE} for an archive, was expected")


def _with(name: Path, suffix: str) -> Path:
    return name.with_name(name.name + suffix)


def _check_free(targets: Sequence[Path], overwrite: bool) -> None:
    for target in targets:
        check_folder(target)
        if target.exists() and not overwrite:
            raise OutputExists(f"{target} is there already; pass overwrite=True to replace it, or another name")


# ---- what is said ----------------------------------------------------------------------------------------------------


def _global(
    x: xr.DataArray,
    clock: SampleClock,
    stored: Datatype,
    channels: int,
    encode: Encoder,
    full_scale: float | None,
    author: str | None,
    description: str | None,
    about: Mapping[str, Any] | None,
) -> dict[str, Any]:
    units = str(x.attrs.get("units", "1"))
    known = stored.integer and full_scale is not None
    scale = full_scale / 2 ** (8 * stored.width - 1) if known and full_scale is not None else None
    if stored.integer and not known:
        units = "1"  # counts of unknown scale, or relative to full scale
        if x.dtype.kind in "iu" and "scale" in x.attrs:
            scale, units = float(x.attrs["scale"]), str(x.attrs.get("scale_units", "1"))
    read = x.attrs.get("metadata")
    before = read.get("global") if isinstance(read, Mapping) else None
    kept = {k: v for k, v in before.items() if not _is_own(k)} if isinstance(before, Mapping) else {}
    instrument = x.coords.get("instrument")
    said = global_of(
        stored.name,
        clock.row_rate,
        channels=channels,
        scale=scale,
        units=units,
        stated=x.attrs,
        hardware=None if instrument is None or instrument.ndim else str(instrument.item()),
        author=author,
        description=description,
    )
    more = global_of(stored.name, clock.row_rate, more=about) if about else {}
    return kept | said | {key: more[key] for key in about or ()}


def _is_own(key: str) -> bool:
    return key.startswith("reelarray:") or key.removeprefix("core:") in _OWN


def _captures(x: xr.DataArray, clock: SampleClock) -> list[dict[str, Any]]:
    starts = clock.labels(clock.first)
    center = x.coords.get("center_frequency")
    return captures_of(
        clock.first.tolist(),
        (starts - starts[0]).tolist(),
        clock.row_rate,
        start_ns=int(starts[0]) if clock.absolute else None,
        frequency=None if center is None or center.ndim else float(center),
    )


def _annotations(
    x: xr.DataArray, clock: SampleClock, given: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """In order of their first rows; those of other parts of a recording that was cut are left out."""
    found = []
    for each in x.attrs.get("annotations") or () if given is None else given:
        begin, end = annotation_times(x, each)
        low, high = (int(clock.count_until(time - 1)) for time in (begin, end))
        if low < high or (given is not None and TIMES not in each):
            own = {key: value for key, value in each.items() if key != TIMES}
            found.append({**own, "core:sample_start": low, "core:sample_count": high - low})
    return sorted(found, key=lambda each: each["core:sample_start"])


def _seen(seen: np.ndarray, encode: Encoder, x: xr.DataArray, clock: SampleClock, path: Path) -> dict[str, Any]:
    """What to note of samples that integers cannot tell; raises unless they are to be clipped."""
    one = seen[0]
    beyond, missing = int(one["beyond"]), int(one["missing"])
    if not beyond and not missing:
        return {}
    if encode.clip:
        return {"reelarray:clipped": beyond, "reelarray:missing": missing}
    full = 2 ** (8 * encode.stored.width - 1) / (encode.factor or 1.0)
    words = [f"{missing} are NaN, which integers cannot tell"] if missing else []
    if beyond:
        words.append(f"{beyond} are beyond full scale ({full:g}), the largest is {one['largest']:g}")
    raise RecordingError(
        f"{path}: of the numbers to be stored, {' and '.join(words)}; the first is at "
        f"{clock.text(clock.labels(one['first']))}: pass a full_scale= above the largest, or clip=True to let them end "
        "there, or write floats (cf32_le); nothing was kept"
    )


def _sha512(path: Path, begin: int) -> str:
    seen = hashlib.sha512()
    with open(path, "rb") as file:
        file.seek(begin)
        while piece := file.read(4 * 2**20):
            seen.update(piece)
    return seen.hexdigest()


# ---- archives --------------------------------------------------------------------------------------------------------


def _tar_header(name: str, size: int | None) -> bytes:
    """The blocks before a member; a folder has no size."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = (size, 0o644) if size is not None else (0, 0o755)
    info.type = tarfile.REGTYPE if size is not None else tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT)


def _finish_archive(path: Path, name: str, folder: bytes, size: int, text: bytes) -> None:
    """The headers around samples that are in place, the metadata, and the end."""
    with open(path, "rb+") as file:
        file.write(folder + _tar_header(f"{name}/{name}{DATA}", size))
        file.seek(0, os.SEEK_END)
        file.write(bytes(-size % _TAR_BLOCK))
        file.write(_tar_header(f"{name}/{name}{META}", len(text)) + text + bytes(-len(text) % _TAR_BLOCK))
        file.write(bytes(2 * _TAR_BLOCK))
