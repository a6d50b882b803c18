"""Benchmarks: reelarray beside what a user would pick instead, in one run: ratios and peak memory."""

import os

# One native thread a process, so that CPU time is the work done. Only counts where NumPy is not loaded yet.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
