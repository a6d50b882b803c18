"""Writes SigMF recordings by hand, whole and broken ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

RATE = 1_000_000.0
ALL_TYPES = [
    kind + each
    for kind in "cr"
    for each in ("i8", "u8", *(f"{t}_{o}" for t in ("f32", "f64", "i32", "i16", "u32", "u16") for o in ("le", "be")))
]


def document(
    datatype: str = "ci16_le",
    captures: list[dict[str, Any]] | None = None,
    annotations: list[dict[str, Any]] | None = None,
    **about: Any,
) -> dict[str, Any]:
    """The metadata; `about` are keys of `global` in the namespace core, and None leaves one out."""
    known = {"datatype": datatype, "version": "1.2.0", "sample_rate": RATE, **about}
    return {
        "global": {f"core:{key}": value for key, value in known.items() if value is not None},
        "captures": [{"core:sample_start": 0}] if captures is None else captures,
        "annotations": annotations or [],
    }


def write_sigmf(folder: Path, samples: np.ndarray | bytes, name: str = "x", **about: Any) -> Path:
    """`x.sigmf-data` and `x.sigmf-meta`, whose path is returned."""
    data = samples if isinstance(samples, bytes) else samples.tobytes()
    (folder / f"{name}.sigmf-data").write_bytes(data)
    meta = folder / f"{name}.sigmf-meta"
    meta.write_text(json.dumps(document(**about)))
    return meta


def write_archive(path: Path, members: dict[str, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=format) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_collection(folder: Path, metas: list[Path], name: str = "all") -> Path:
    streams = [
        {"name": meta.name.removesuffix(".sigmf-meta"), "hash": hashlib.sha512(meta.read_bytes()).hexdigest()}
        for meta in metas
    ]
    path = folder / f"{name}.sigmf-collection"
    path.write_text(json.dumps({"collection": {"core:version": "1.2.0", "core:streams": streams}}))
    return path


def stored(datatype: str, frames: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(numbers as they lie in the file, values that reading must give) of a datatype: all corners of its range."""
    width = int(datatype[2:].split("_")[0]) // 8
    order = ">" if datatype.endswith("be") else "<"
    code = np.dtype(f"{order}{datatype[1]}{width}")
    count = frames * channels * (2 if datatype[0] == "c" else 1)
    random = np.random.default_rng(count)
    if code.kind == "f":
        raw = random.standard_normal(count).astype(code)
        values = raw.astype(np.float64)
    else:
        limits = np.iinfo(code)
        raw = random.integers(limits.min, limits.max, count, endpoint=True, dtype=code.newbyteorder("=")).astype(code)
        raw[:2] = limits.min, limits.max
        middle = 2 ** (8 * width - 1)
        values = (raw.astype(np.float64) - (middle if code.kind == "u" else 0)) / middle
    if datatype[0] == "c":
        values = values[::2] + 1j * values[1::2]
    return raw, values.reshape(frames, channels) if channels > 1 else values
