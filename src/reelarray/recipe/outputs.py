"""Outputs: what is made of an array, told by the suffix of the path."""

from __future__ import annotations

import errno
import importlib.util
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import MissingPackage, RecipeError, RecordingError, ReelError, Unwritable
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
_EACH_ONLY = (".npz", ".wav", ".flac")


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
            f"[output] path={path!r}: {kind} is made one a recording; put a placeholder into the name, such as "
            f"'{{stem}}{kind}', or write all into one store, '.zarr'"
        )
    return {"path": str} | _KINDS[kind][1]() | dict.fromkeys(ACCESS, str)


def check_options(given: Keywords) -> None:
    """Raise `RecipeError` for values that a look at the array is not needed for."""
    try:
        if suffix(given["path"]) == ".zarr":
            compressor(given.get("compression"))
        check_limits(given)
        check_access(group=given.get("group"), mode=given.get("mode"))
        if "umask" in given:
            octal(given["umask"], "umask")
    except ReelError as error:
        raise RecipeError(f"[output] {error}") from error


# What a disk says to all writers alike, and what it says of one path.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG))
_DENIED = frozenset((errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR))


@contextmanager
def refusals(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """What is refused to the writer of `path`, through a folder `temporary`, becomes `Unwritable`.

    The array is computed meanwhile: what is said of other files, such as those that a step reads, passes, though they
    may lie beside the output.
    """
    try:
        yield
    except ReelError:
        raise
    except OSError as error:
        ours = _is_ours(error.filename, Path(os.path.abspath(path)), temporary)
        full = error.errno in _FULL and (ours or error.filename is None)  # writing to an open file names none
        if full or (error.errno in _DENIED and ours):
            raise Unwritable(f"{path.parent} cannot be written: {error}") from error
        raise


def _is_ours(named: Any, path: Path, temporary: Path | None) -> bool:
    """Whether an error names the output, a folder on the way to it, or a file that is to become it."""
    if not isinstance(named, str | os.PathLike):
        return False
    file = Path(os.path.abspath(named))
    if temporary is not None and file.is_relative_to(os.path.abspath(temporary)):
        return True
    beside = file.parent == path.parent and file.name.startswith(f".{path.name[:200]}.")  # as `atomic.writing` has it
    return beside or file in (path, *path.parents)


def check_picture(spectra: xr.DataArray, path: str, chosen: Any = None) -> None:
    """Raise what drawing would, before hours of writing; `chosen` is the `channel` of the picture."""
    for dim in (dim for dim in spectra.dims if dim not in ("time", "frequency") and chosen is None):
        if spectra.sizes[dim] > 1:
            values = spectra.coords[dim].values.tolist() if dim in spectra.coords else range(spectra.sizes[dim])
            shown = ", ".join(map(str, list(values)[:8]))
            raise RecordingError(
                f"a picture shows one {dim}, the result has {spectra.sizes[dim]}: pass channel=, one of {shown}, or "
                "draw none"
            )
    if "frequency" not in spectra.dims:
        raise RecordingError(
            f"a picture shows (time, frequency), the result has {spectra.dims}: add a step, or draw none"
        )
    if not os.path.isdir(os.path.dirname(path)):
        raise RecordingError(f"{path}: the folder does not exist; make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackage('pictures need matplotlib, which is not installed: pip install "reelarray[plot]"')


def check_limits(given: Keywords) -> None:
    """Raise `RecordingError` for a picture without a colour."""
    low, high = given.get("vmin"), given.get("vmax")
    if low is not None and high is not None and not low < high:
        raise RecordingError(f"vmin={low:g} and vmax={high:g} were given; vmin < vmax was expected")


def options(given: Keywords) -> dict[str, Any]:
    """Keywords of the sink."""
    return {name: value for name, value in given.plain().items() if name not in ("path", *ACCESS)}


def parameters(given: Keywords) -> dict[str, Any]:
    """What the bytes of an output depend on, as JSON values."""
    return {"kind": suffix(given["path"]), **options(given)}


def content(path: Path) -> tuple[int, int]:
    """(bytes, CRC-32) of an output, a file or a folder of files."""
    size = check = 0
    for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
        data = file.read_bytes()
        size, check = size + len(data), zlib.crc32(data, check)
    return size, check


def write_whole(x: xr.DataArray, path: Path, given: Keywords, temporary: Path) -> tuple[int, int]:
    """Compute an array in this thread, write it, whole or not at all; its bytes, and their CRC-32.

    `temporary` is a folder of the run on the same disk. Once it is gone, nothing can be written any more: a straggler
    of an older run does no harm.
    """
    own = temporary / secrets.token_hex(8)
    own.mkdir()
    try:
        made = own / path.name
        _KINDS[suffix(path.name)][0](x, made, **options(given))
        give_access(made, group=given.get("group"), mode=given.get("mode"))
        written = content(made)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # a folder cannot take the place of another in one step
            os.rename(path, own / "before")
        os.replace(made, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return written
