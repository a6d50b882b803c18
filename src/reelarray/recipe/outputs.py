"""Outputs: what is made of an array, told by the suffix of the path."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import xarray as xr

from ..errors import RecipeError, RecordingError, ReelError
from ..plot import plot_spectrogram, save_spectrogram
from ..sinks.access import check_access, give_access, octal
from ..sinks.audio import write_audio
from ..sinks.compression import compressor
from ..sinks.files import sync_folder
from ..sinks.npz import write_npz
from ..sinks.zarr import write_zarr
from . import naming
from .keywords import Keywords
from .values import keywords_of

ACCESS = ("group", "mode", "umask")
# Keywords of a sink that a recipe does not give: they belong to the run, or to what the recipe says elsewhere.
_NOT = frozenset(("path", "folder", "overwrite", "progress", "ax", "width", "height", "names", "format", "duration"))


def suffix(path: str) -> str:
    """The suffix that tells the kind of an output."""
    return os.path.splitext(path)[1].lower()


def of_picture() -> dict[str, Any]:
    """Keywords of pictures, with annotations."""
    return _keywords(plot_spectrogram) | _keywords(save_spectrogram)


def _keywords(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: each for name, each in keywords_of(function).items() if name not in _NOT}


def _picture(x: xr.DataArray, path: Path, **options: Any) -> None:
    save_spectrogram(x, path, **options)


def _archive(x: xr.DataArray, path: Path, **options: Any) -> None:
    write_npz(x, path, **options)


def _store(x: xr.DataArray, path: Path, **options: Any) -> None:
    write_zarr(x, path, **options)


def _audio(x: xr.DataArray, path: Path, **options: Any) -> None:
    folder = path.with_name(f"{path.name}.parts")
    made = write_audio(x, folder, format=path.suffix[1:].lower(), **options)  # type: ignore[arg-type]
    if len(made) != 1:
        raise RecordingError(f"{len(made)} stretches were made of one recording; a sound file holds one: use .npz")
    os.replace(made[0], path)
    folder.rmdir()


# suffix: (what writes it, its keywords)
_KINDS: dict[str, tuple[Callable[..., None], Callable[[], dict[str, Any]]]] = {
    ".zarr": (_store, lambda: _keywords(write_zarr)),
    ".npz": (_archive, lambda: _keywords(write_npz)),
    ".png": (_picture, of_picture),
    ".wav": (_audio, lambda: _keywords(write_audio)),
    ".flac": (_audio, lambda: _keywords(write_audio)),
}
_EACH_ONLY = (".wav", ".flac")


def known(path: str) -> dict[str, Any]:
    """What `[output]` may say for such a path, with annotations.

    Raises
    ------
    RecipeError : no output has the suffix
    """
    kind = suffix(path)
    if kind not in _KINDS:
        raise RecipeError(f"[output] path={path!r}: a name that ends in {', '.join(_KINDS)} was expected")
    if kind in _EACH_ONLY and not naming.has_placeholder(path):
        raise RecipeError(
            f"[output] path={path!r}: sound files are made one a recording; put a placeholder into the name, such as "
            f"'{{stem}}{kind}'"
        )
    return {"path": str} | _KINDS[kind][1]() | dict.fromkeys(ACCESS, str)


def check_options(given: Keywords) -> None:
    """Raise `RecipeError` for values that a look at the array is not needed for."""
    try:
        if suffix(given["path"]) == ".zarr":
            compressor(given.get("compression"))
        check_access(group=given.get("group"), mode=given.get("mode"))
        if "umask" in given:
            octal(given["umask"], "umask")
    except ReelError as error:
        raise RecipeError(f"[output] {error}") from error


def options(given: Keywords) -> dict[str, Any]:
    """Keywords of the sink."""
    return {name: value for name, value in given.plain().items() if name not in ("path", *ACCESS)}


def parameters(given: Keywords) -> dict[str, Any]:
    """What the bytes of an output depend on, as JSON values."""
    return {"kind": suffix(given["path"]), **options(given)}


def write_whole(x: xr.DataArray, path: Path, given: Keywords, temporary: Path) -> int:
    """Compute an array in this thread, write it, whole or not at all, and return the bytes that it takes.

    `temporary` is a folder of the run on the same disk. Once it is gone, nothing can be written any more: a straggler
    of an older run does no harm.
    """
    own = temporary / secrets.token_hex(8)
    own.mkdir()
    try:
        made = own / path.name
        with dask.config.set(scheduler="synchronous"):  # a task that sends tasks may wait for ever
            _KINDS[suffix(path.name)][0](x, made, **options(given))
        give_access(made, group=given.get("group"), mode=given.get("mode"))
        size = sum(f.stat().st_size for f in (made.rglob("*") if made.is_dir() else [made]) if f.is_file())
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # a folder cannot take the place of another in one step
            os.rename(path, own / "before")
        os.replace(made, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return size
