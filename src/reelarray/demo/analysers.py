"""A control room: two synthetic analysers that drop a recording every second, and the watch over their folders."""

from __future__ import annotations

import shlex
import threading
import time
from pathlib import Path

import numpy as np
import xarray as xr

from ..cli.codes import OK
from ..errors import RecordingError

RATE = 400_000  # Hz
SAMPLES = 2**17  # of a recording: 0.33 s
EVERY = 1.0  # s from recording to recording of one analyser
SECONDS = 10.0  # that the watch lasts
CENTERS = {"ring": 244_778_900.0, "linac": 108_408_000.0}  # Hz, by analyser
LINES = (-90e3, -30e3, 30e3, 90e3)  # Hz from the centre: harmonics of particles that go round
BROKEN = 3  # the recording of this number is one that went wrong
NOISE = 2e-8  # V
CONFIG = """\
# What `reel watch --config` takes: datacrunch's tables, and what can be said besides.
[paths]
folder_path = "{recordings}"
output_path = "{pictures}"
www_path = "{page}"

[settings]
num_threads = 2
lframes = 1024      # samples of a frame
nframes = 128       # frames of the picture
n_avg = 4           # frames that are averaged for the zoom
zoom_center = 30e3  # Hz from the centre of the band

[watch]
suffixes = [".sigmf-meta"]
recursive = true  # a folder for each analyser
settle_seconds = 0.3
poll_seconds = 0.5  # where there are no events
stall_seconds = 2
order = "newest"

[outputs]
layout = "by_analyser"
zoom_span = 30e3  # Hz
zoom_nfft = 256   # of samples that are mixed, filtered and decimated for it

[analyser.linac]  # in which things happen faster
n_avg = 1
zoom_center = 50e3
zoom_span = 80e3
"""


def ring(number: int, start: np.datetime64) -> xr.DataArray:
    """(time) [V]: Schottky lines of a beam that is being cooled: with each recording they are narrower and stronger."""
    rng = np.random.default_rng(number)
    t = np.arange(SAMPLES) / RATE
    volts = noise(rng)
    for line in LINES:
        wander = rng.standard_normal(SAMPLES) * np.sqrt(2 * np.pi * 3000 / (1 + number) / RATE)
        volts += 3e-8 * np.sqrt(1 + number) * np.exp(1j * (2 * np.pi * line * t + np.cumsum(wander)))
    return as_recording(volts, "ring", start)


def linac(number: int, start: np.datetime64) -> xr.DataArray:
    """(time) [V]: pulses of 30 ms whose frequency slips, one every 80 ms."""
    t = np.arange(SAMPLES) / RATE
    since = t % 0.08
    slips = 2 * np.pi * (2e4 * since + 2e6 * since**2 / 2)
    rng = np.random.default_rng(1000 + number)
    return as_recording(noise(rng) + 2e-7 * np.exp(1j * slips) * (since < 0.03), "linac", start)


def noise(rng: np.random.Generator) -> np.ndarray:
    """(time) [V]: what a receiver hears of itself."""
    return rng.normal(0, NOISE, (SAMPLES, 2)).view(np.complex128)[:, 0]


def as_recording(volts: np.ndarray, analyser: str, start: np.datetime64) -> xr.DataArray:
    import reelarray as ra

    coords = {"center_frequency": CENTERS[analyser], "instrument": f"synthetic {analyser}"}
    return ra.recording(volts.astype(np.complex64), rate=RATE, start=start, units="V", coords=coords)


ANALYSERS = {"ring": ring, "linac": linac}


def record(folder: Path, stop: threading.Event) -> None:
    """Drop recordings, until told to stop; one of them has metadata that break off."""
    import reelarray as ra

    number = 0
    while not stop.is_set():
        begun = time.monotonic()
        now = np.datetime64(time.time_ns(), "ns")
        for name, make in ANALYSERS.items():
            path = folder / name / f"{name}_{number:03d}.sigmf-meta"
            ra.write_sigmf(make(number, now), path, overwrite=True)
            if number == BROKEN and name == "linac":
                path.write_bytes(path.read_bytes()[:200])
        number += 1
        stop.wait(max(0.0, begun + EVERY - time.monotonic()))


def run(folder: Path) -> int:
    """Let two analysers record in `folder` for ten seconds, watch it by the command a user would, say what happened."""
    from ..cli import main

    config = folder / "watch.toml"
    if folder.exists() and any(folder.iterdir()) and not config.exists():
        raise RecordingError(f"{folder} is there and is not a demo of analysers; pass another: reel demo iq FOLDER")
    recordings, page = folder / "recordings", folder / "page"
    for name in ANALYSERS:
        (recordings / name).mkdir(parents=True, exist_ok=True)
    places = {"recordings": recordings, "pictures": folder / "pictures", "page": page}
    config.write_text(CONFIG.format(**{name: path.as_posix() for name, path in places.items()}))
    command = ["watch", "--config", str(config), "--serve", "0", "--seconds", f"{SECONDS:g}"]
    print(f"{len(ANALYSERS)} analysers write a recording a second each into {recordings}; one will be broken.\n")
    print(f"$ reel {shlex.join(command)}", flush=True)
    stop = threading.Event()
    recorder = threading.Thread(target=record, args=(recordings, stop), name="analysers")
    recorder.start()
    try:
        code = main(command)
    finally:
        stop.set()
        recorder.join()
    if code != OK:
        return code
    print(f"\nThe newest pictures are in {page}: ring.png, zoom_ring.png, linac.png, zoom_linac.png.")
    print(f"To see them in a browser: reel watch --config {config} --serve 8050")
    return OK
