"""A service that can be killed: a process of its own, with a log of what it made that no journal knows of."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import time
import wave
from dataclasses import dataclass
from pathlib import Path

from reelarray.driving import Stop
from reelarray.errors import FormatError
from reelarray.sinks.atomic import writing
from reelarray.watching.options import Options
from reelarray.watching.start import serve
from reelarray.watching.unit import Found, Made


@dataclass(frozen=True)
class Digest:
    """A hash of the samples of a WAV file, written slowly; each end of it is a line in a log."""

    output: str
    seconds: float = 0.0

    @property
    def fingerprint(self) -> str:
        return "digest 1"

    def targets(self, found: Found) -> tuple[str, ...]:
        return (os.path.join(self.output, f"{os.path.basename(found.path)}.txt"),)

    def __call__(self, found: Found) -> Made:
        self.log("begun", found)
        try:
            with wave.open(found.path, "rb") as file:
                frames = file.getnframes()
                data = file.readframes(frames)
        except (wave.Error, EOFError) as error:
            raise FormatError(f"{found.relative}: {error}") from error
        if len(data) < 2 * frames and not found.partial:
            raise FormatError(f"{found.relative} is shorter than it says")
        made = hashlib.sha256(data).hexdigest()
        (target,) = self.targets(found)
        with writing(target) as temporary, open(temporary, "w") as file:
            for part in (made[:32], made[32:]):
                file.write(part)
                file.flush()
                time.sleep(self.seconds / 2)
        self.log("made", found)
        return Made((target,), len(data) // 2, len(data) / 2 / 8000, found.partial)

    def log(self, what: str, found: Found) -> None:
        handle = os.open(os.path.join(self.output, "calls"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{what} {found.relative} {found.bytes}\n".encode())
        os.close(handle)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("output")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--stall", type=float, default=2.0)
    parser.add_argument("--mode", default="auto")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = Options(
        (given.folder,),
        suffixes=(".wav",),
        mode=given.mode,
        settle_seconds=0.2,
        stall_seconds=given.stall,
        poll_seconds=0.2,
        rescan_seconds=1.0,
        grace_seconds=5.0,
        min_free_bytes=0,
        in_flight=2,
        state_folder=str(Path(given.output) / "state"),
    )
    _, asked = serve(options, Digest(given.output, given.seconds), once=given.once, stop=Stop(environ={}))
    os._exit(asked.exit_code)  # as `reel` does where threads still compute


if __name__ == "__main__":
    main()
