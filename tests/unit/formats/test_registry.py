"""Which format reads a file: by name, by suffix, by its first bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from reelarray import formats
from reelarray.errors import FormatError

PLUGIN = '''
import numpy as np
from fractions import Fraction
from reelarray.formats.raw import probe as raw_probe, source
from reelarray.source import Format
from dataclasses import replace

def probe(path):
    """Eight bytes of magic, then 16-bit samples at 10 Hz."""
    return replace(raw_probe(path, rate=10, dtype="<i2", offset=8), format="{name}")

FORMAT = Format(name="{name}", suffixes=(".own", ".wav"), recognises=lambda head: head.startswith(b"OWNMAGIC"),
                probe=probe, source=source)
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Installs packages with entry points, as pip would lay them out, and forgets them afterwards."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, text: str, target: str = "FORMAT") -> None:
        module = f"plugin_{name}"
        (site / f"{module}.py").write_text(text)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[reelarray.formats]\n{name} = {module}:{target}\n")
        forget()

    yield install
    forget()
    for module in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[module]


def forget() -> None:
    for cached in (formats.get_format, formats._theirs, formats._by_suffix, formats._loads):
        cached.cache_clear()


def test_another_package_adds_a_format(install, tmp_path: Path) -> None:
    install("own", PLUGIN.format(name="own"))
    path = tmp_path / "x.own"
    path.write_bytes(b"OWNMAGIC" + np.arange(5, dtype="<i2").tobytes())
    assert formats.format_names() == (*formats._OURS, "own")
    assert formats.detect(path).name == "own"
    assert formats.source(formats.probe(path)).read(1, 4).tolist() == [1, 2, 3]


def test_another_package_cannot_shadow_ours(install, tmp_path: Path) -> None:
    install("wav", PLUGIN.format(name="wav"))
    install("own", PLUGIN.format(name="own"))
    assert formats.get_format("wav").probe.__module__ == "reelarray.formats.wav"
    soundfile.write(tmp_path / "x.wav", np.zeros(3, np.int16), 8000)
    assert formats.detect(tmp_path / "x.wav").name == "wav"


def test_a_broken_package_takes_nothing_else_down(install, tmp_path: Path) -> None:
    install("broken", "raise RuntimeError('out of order')")
    soundfile.write(tmp_path / "x.wav", np.zeros(3, np.int16), 8000)
    with pytest.warns(UserWarning, match="out of order"):
        assert formats.probe(tmp_path / "x.wav").frames == 3
    with pytest.raises(FormatError, match=r"plugin_broken.*out of order.*uninstall"):
        formats.get_format("broken")


def test_what_is_no_format_is_refused(install) -> None:
    install("odd", "FORMAT = 3")
    with pytest.raises(FormatError, match=r"should be a reelarray\.source\.Format, found 3"):
        formats.get_format("odd")


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(FormatError, match="'wave' is not known; known are wav, libsndfile, npz, raw"):
        formats.get_format("wave")


@pytest.mark.parametrize(
    ("suffix", "kind", "name"),
    [
        ("WAV", "WAV", "wav"),
        ("flac", "FLAC", "libsndfile"),
        ("", "FLAC", "libsndfile"),
        ("xyz", "WAV", "wav"),
        ("", "W64", "wav"),
    ],
)
def test_suffix_first_then_first_bytes(tmp_path: Path, suffix: str, kind: str, name: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, np.zeros(3, np.int16), 8000, format=kind)
    assert formats.detect(path).name == formats.probe(path).format == name
    assert formats.detect(str(path), path.read_bytes()[:512]).name == name


def test_a_suffix_that_the_first_bytes_contradict(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_text("these are the notes of a day at sea")
    for look in (formats.detect, formats.probe):
        with pytest.raises(FormatError, match=r"x\.wav.*starts with b'these are the no'.*format="):
            look(path)


def test_nothing_recognises_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("these are the notes of a day at sea")
    with pytest.raises(FormatError, match=r"notes\.md starts with .*'\.md'.*wav \(\.wav .*raw \(by name only\)"):
        formats.probe(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="is empty"):
        formats.probe(path)


def test_a_query_is_no_part_of_the_suffix() -> None:
    assert formats._suffix("https://x.org/a/b.WAV?token=1.2#t=3") == ".wav"
    assert formats._suffix("folder.d/name") not in formats._by_suffix()


def test_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, reelarray.source; before = set(sys.modules); "
        "import reelarray.formats as f; f.get_format('libsndfile'); f.get_format('npz'); f._by_suffix(); "
        "print(*{'soundfile', 'scipy', 'fsspec', 'aiohttp', 'dask', 'xarray', 'pandas'} & (set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
