"""A configuration to begin with: datacrunch's tables, and what else can be said, commented."""

from __future__ import annotations

EXAMPLE = """\
# Configuration of reel watch. [paths] and [settings] are those of datacrunch: its file works unchanged.
# Watch, until stopped:        reel watch --config config.toml
# Do what is there, and end:   reel watch --config config.toml --once
# With a page to look at:      reel watch --config config.toml --serve 8050
# Relative paths count from the folder in which the command is given.

[paths]
folder_path = "recordings"              # to be watched: a folder, or a list of folders
output_path = "spectrograms"            # made if it is not there
www_path = ""                           # latest pictures of each analyser, for a page; "" for none
tracking_file_path = "processed.toml"   # what is done, as datacrunch kept it

[settings]
num_threads = 10                        # recordings in process at one time
lframes = 65536                         # samples of a frame
nframes = 94                            # frames of picture and archive, from the first sample; "all" for all
n_avg = 10                              # rows of a group of the averaged spectrogram
zoom_center = 0.0                       # Hz: 0 is the centre; up to half the rate an offset from it; else absolute

[outputs]
layout = "flat"                         # "by_analyser" makes a folder for each
png = true
npz = true
averaged = true                         # <name>_averaged.npz
zarr = "all"                            # averaged power of the whole recording; "preview", or "off"
window = "hann"                         # of pictures, store and table; archives hold |X|^2 without one
scale = "dB"                            # window = "boxcar", "linear" and color_map = "jet": the look of datacrunch
color_map = "viridis"
limits = [5, 99.9]                      # percentiles between which colours change
# levels = [-120, -60]                  # or fixed ones
reduce = "mean"                         # of the bins in a pixel; "max" keeps single lines bright
zoom_span = 1e6                         # Hz
# zoom_nfft = 4096                      # zoom made of samples, mixed and filtered, rather than cut
partial = "keep"                        # the last group of rows where it is not complete; or "drop"
impedance = 50.0                        # ohm
copy_raw = false
# table = "peaks.csv"                   # a line for each recording: peak frequency, power, width, times

[watch]
suffixes = [".tiq"]                     # or "all"
ignore = []                             # patterns of names that are no recordings, such as "test*"
recursive = false                       # folders in folders; needs layout = "by_analyser"
mode = "auto"                           # "events", "poll"
poll_seconds = 5
rescan_seconds = 60
settle_seconds = 2                      # without a change, before a file may be finished
stall_seconds = 600                     # after which a file that is too short will not become whole
stalled = "fail"                        # "use" takes what is there of it, up to the last whole frame
order = "oldest"                        # "newest" keeps pictures fresh during a backlog
attempts = 3                            # where trying again may help, after so many seconds:
backoff = [30, 120, 480]
grace_seconds = 30                      # for running work when stopped
min_free_bytes = 2e9
# state_folder = "state"                # of the journal; in output_path unless given

# [cluster]                             # as in recipes: local unless given
# kind = "slurm"
# jobs = 4

# [open]                                # keywords of ra.open_recording, for formats that need some
# rate = 390625

# [analysers]                           # names, where those of the folders will not do
# "recordings/rsa-left" = "left"

# [analyser.left]                       # keys of [settings] and [outputs] for one of them
# zoom_center = 50e3
"""


def example() -> str:
    """The text of a configuration to begin with; it is valid as it is."""
    return EXAMPLE
