"""Recipes to begin with: commented, and valid as they are."""

from __future__ import annotations

_HEAD = """\
# A recipe of reelarray. Check it:          reel recipe check RECIPE
# See what it would do:                      reel run RECIPE --dry-run
# Carry it out, or go on after a stop:       reel run RECIPE
# The same in a batch queue:                 reel run RECIPE --cluster slurm
# Relative paths count from this file.

[input]
paths = "recordings"               # a folder, file, pattern or URL, a list of them, or one saved catalog (.json)
# on_bad = "raise"                 # files that cannot be used stop the run ("skip" leaves them out and lists them)
# timestamp = "%Y%m%d_%H%M%S"      # start time in the file names, where no known recorder's pattern fits
# timezone = "UTC"                 # of times that name none
# begin = 2022-03-01T00:00:00Z     # only samples in [begin, end)
# end = 2022-04-01T00:00:00Z
# channel = 0                      # one channel of the files
# calibration = "hydrophone.toml"  # or here: sensitivity = -170.0, gain_db = 14.0, peak_voltage = 2.5
# Also: every other keyword of ra.open_recordings, ra.scan and the format.
"""

_STEPS = """
# Steps, one after the other. `use` is a function of reelarray, or of your own (such as "my_steps.despike", which takes
# the array and keywords, in my_steps.py beside this file); what stands beside it are its keywords. Without a step files
# are converted.
# [[step]]
# use = "high_pass"
# cutoff = 10.0                    # Hz
"""

_WHOLE = """
[[step]]
use = "power_spectrum"
every = "60s"                      # one spectrum for each wall-clock minute
nfft = 1024

# All recordings become one array in one Zarr store.
[output]
path = "minutes.zarr"
# encoding = "db16"                # levels in half the space of float32
# compression = "zstd"             # for archives

# [picture]                        # drawn when the store is complete
# path = "minutes.png"
"""

_EACH = """
[[step]]
use = "spectrogram"
nfft = 1024

# With a placeholder each recording becomes an output of its own: {stem} (name without suffix), {name}, {folder} (of the
# recording), {start:%Y%m%d_%H%M%S} (UTC). Suffixes: .npz, .zarr, .png, .wav, .flac
[output]
path = "spectra/{stem}.npz"
# compress = true
"""

_TAIL = """
# Where it runs unless the command line says otherwise.
# [cluster]
# kind = "slurm"                   # local, slurm, pbs, ...
# preset = "medium"
# jobs = 10

# How failures are treated; changes no result.
# [run]
# retries = 1                      # of a unit, after an input/output error
# time_limit = 600.0               # s that a unit may take; needs workers
# most_failures = 20               # so many in a row end the run
"""


def template(*, each: bool = False) -> str:
    """The text of a recipe to begin with: one store, or an output for `each` recording."""
    return _HEAD + _STEPS + (_EACH if each else _WHOLE) + _TAIL
