"""``python -m benchmarks.environments``: environments for the peers that cannot live beside a current NumPy."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .measure import PEERS

# Name -> what is installed. Versions are exact, so that figures of two runs are of the same programs. Both want NumPy
# below 2, xarray of 2023 and a Python of 3.10 or 3.11 (PyPAM 3.12 as well).
ENVIRONMENTS = {"pypam": "lifewatch-pypam==1.0.0", "pbp": "mbari-pbp==1.9.0"}


def python(name: str, folder: Path = PEERS) -> str | None:
    """The interpreter of an environment, or None where it has not been made."""
    here = folder / name
    return str(_interpreter(here)) if (here / "whole").exists() else None


def versions(folder: Path = PEERS) -> dict[str, str | None]:
    """Package -> version, of the environments that are there."""
    pairs = {name: package.split("==") for name, package in ENVIRONMENTS.items()}
    return {package: version if python(name, folder) else None for name, (package, version) in pairs.items()}


def make(name: str, folder: Path = PEERS, interpreter: str = sys.executable) -> str:
    """Make an environment with what its name stands for, unless it is there; its interpreter."""
    here = (folder / name).resolve()
    if not (here / "whole").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
        subprocess.run([interpreter, "-m", "venv", "--clear", here], check=True)
        subprocess.run([_interpreter(here), "-m", "pip", "install", "--quiet", ENVIRONMENTS[name]], check=True)
        (here / "whole").touch()
    return str(_interpreter(here))


def _interpreter(here: Path) -> Path:
    return here / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.environments", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(ENVIRONMENTS)}; all unless given")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the folder that they are made in")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to make them with: 3.10 or 3.11")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in ENVIRONMENTS]:
        parser.error(f"{', '.join(unknown)}: one of {', '.join(ENVIRONMENTS)} was expected")
    for name in given.names or ENVIRONMENTS:
        print(f"{name}: {make(name, given.peers, given.python)}", flush=True)


if __name__ == "__main__":
    main()
