"""Pictures of depths as 16-bit TIFF files whose values are scaled, with the scale in their description."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, MissingPackage
from ..sinks.atomic import writing

_LARGEST = np.iinfo(np.uint16).max
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackage(
            'TIFF files need tifffile, which is not installed: pip install "reelarray[depth]"'
        ) from error
    return tifffile


def write_tiff(
    path: str | os.PathLike[str],
    image: np.ndarray,
    *,
    limits: tuple[float, float] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write (y, x) values, 0 or larger, as uint16, scaled to use its range; the file appears whole.

    Parameters
    ----------
    limits : values that become 0 and 65535, what lies beyond is cut off; without, values are multiplied by
        int(65535 / largest), so that 0 stays 0
    about : more facts for the description, JSON values

    Raises
    ------
    MissingPackage : without tifffile
    FileNotFoundError : the folder is not there
    ValueError : values below 0, infinite or NaN, or another number of axes

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_tiff(f"{folder}/bground.tiff", np.array([[675.0, 0.0]]))
    ...     read_tiff(path)
    array([[675.,   0.]])
    """
    with writing(path) as temporary:
        save_tiff(temporary, image, limits=limits, about=about)
    return Path(path)


def save_tiff(
    path: Path,
    image: np.ndarray,
    *,
    limits: tuple[float, float] | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """As `write_tiff`, under the name given, step by step: for files that belong together and become whole together."""
    tifffile = _tifffile()
    image = np.asarray(image, float)
    if image.ndim != 2 or not np.isfinite(image).all() or (limits is None and image.min(initial=0.0) < 0):
        raise ValueError(
            f"an image (y, x) of finite values from 0 on was expected; {image.shape} were given for {path}"
        )
    factor: Any
    if limits is None:
        factor = int(_LARGEST / max(float(image.max(initial=0.0)), 1.0))
        scaled, told = image * factor, str(factor)
    else:
        low, high = map(float, limits)
        scaled, told = (np.clip(image, low, high) - low) / (high - low) * _LARGEST, f"({low!r}, {high!r})"
    described = json.dumps({"shape": list(image.shape), "scale_factor": told, **(about or {})})
    pixels = np.rint(scaled).astype(np.uint16)
    tifffile.imwrite(path, pixels, description=described, metadata=None, software="reelarray")


def read_tiff(path: str | os.PathLike[str]) -> np.ndarray:
    """The values (y, x) of a scaled picture, float64; those of any other picture as they stand in it.

    Raises
    ------
    MissingPackage : without tifffile
    FileNotFoundError : no such file
    FormatError : no TIFF file of one channel, or a scale that is none
    """
    return read_described(path)[0]


def read_described(path: str | os.PathLike[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """As `read_tiff`, and the description of the picture, empty where it has none that is JSON."""
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            pixels, text = page.asarray(), str(page.description)
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no TIFF picture ({error}): write it anew, or choose another") from None
    if pixels.ndim != 2:
        raise FormatError(f"{path} has pixels {pixels.shape}; one channel (y, x) was expected: save it in gray")
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        about = {}
    about = about if isinstance(about, dict) else {}
    if about.get("scale_factor") in (None, ""):
        return pixels, about
    numbers = [float(n) for n in re.findall(_NUMBER, str(about["scale_factor"]))]
    if len(numbers) == 1 and numbers[0] > 0:
        return pixels / numbers[0], about
    if len(numbers) == 2 and numbers[0] < numbers[1]:
        return numbers[0] + pixels * ((numbers[1] - numbers[0]) / _LARGEST), about
    raise FormatError(
        f"{path} says scale_factor={about['scale_factor']!r}; a factor above 0, or two rising limits, were expected"
    )
