"""OpenCV, where it is needed: for the numbers of `compat`."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..errors import MissingPackage


@cache
def opencv() -> Any:
    """The package cv2."""
    try:
        import cv2
    except ImportError as error:
        raise MissingPackage(
            f'compat=True needs OpenCV, which is not installed ({error}): pip install "reelarray[compat]", on every '
            "worker, or leave compat out"
        ) from error
    return cv2
