"""What an output was made of, as the output itself says."""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecordingError


@dataclass(frozen=True)
class Origin:
    """The recording that an output was made of.

    Parameters
    ----------
    source : its path in the watched folder
    analyser : the name of what recorded it
    recorded : ns since 1970 of its first sample, or of its last change where that is not known
    """

    source: str
    analyser: str
    recorded: int

    @property
    def text(self) -> dict[str, str]:
        """As it is kept with pictures."""
        return {"Source": self.source, "Analyser": self.analyser, "Recorded": str(self.recorded)}

    @property
    def attrs(self) -> dict[str, Any]:
        """As it is kept with arrays."""
        return {"source": self.source, "analyser": self.analyser, "recorded": self.recorded}

    @classmethod
    def of_file(cls, path: Path) -> Origin | None:
        """What an output says, or None where it says nothing: it is none of ours, or of datacrunch."""
        try:
            if path.suffix == ".png":
                return cls._of(picture_text(path))
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as archive:
                    return cls._of(json.loads(str(archive["params"])))
            if path.suffix == ".zarr":
                found = [json.loads(each.read_text("utf-8")) for each in sorted(path.glob("*/zarr.json"))]
                return next(filter(None, (cls._of(each.get("attributes", {})) for each in found)), None)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return None

    @classmethod
    def _of(cls, said: Mapping[str, Any]) -> Origin | None:
        said = {str(name).lower(): value for name, value in said.items()}
        try:
            return cls(str(said["source"]), str(said["analyser"]), int(said["recorded"]))
        except (KeyError, ValueError, TypeError):
            return None

    def check_free(self, path: Path) -> None:
        """Raise `RecordingError` where `path` is an output of another recording.

        A recording that was made again under its name, and one whose analyser got another name, are no others.
        """
        there = Origin.of_file(path) if os.path.lexists(path) else None
        if there is not None and there.analyser != self.analyser and there.recorded != self.recorded:
            raise RecordingError(
                f"collision: {path} was made of {there.source} of {there.analyser!r}, and would be replaced by that of "
                f'{self.source} of {self.analyser!r}; set layout = "by_analyser" in [outputs], which makes a folder '
                "for each"
            )


def picture_text(path: Path) -> dict[str, str]:
    """Texts that a PNG file holds, by their names; its pixels are not read."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as image:
        return {str(name): value for name, value in image.info.items() if isinstance(value, str)}


def printable(name: str, most: int = 100) -> str:
    """The name of a file as it can be printed and kept anywhere: without control characters, and not too long.

    >>> printable("run\\n7.tiq"), printable("a" * 30, 11)
    ('run?7.tiq', 'aaaaa…aaaaa')
    """
    text = name.encode("utf-8", "replace").decode("utf-8")
    text = "".join("?" if unicodedata.category(c)[0] == "C" else c for c in text)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
