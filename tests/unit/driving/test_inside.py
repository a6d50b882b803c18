"""Units that compute with Dask of their own, on several threads at once."""

from __future__ import annotations

import random
import threading
import time

import dask
from dask.local import get_sync

from reelarray.driving import synchronous


def test_threads_that_overlap_leave_the_setting_as_it_was():
    seen, before = [], dask.config.get("scheduler", None)

    def unit(seed: int) -> None:
        pause = random.Random(seed)
        for _ in range(20):
            with synchronous():
                time.sleep(pause.uniform(0, 0.002))
                seen.append(dask.config.get("scheduler"))

    threads = [threading.Thread(target=unit, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {get_sync}
    assert dask.config.get("scheduler", None) == before
