"""Who does the work: threads of this process, a client that is there, or a cluster that is started for the service."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..driving import ClientFlow, Flow, ThreadFlow
from ..errors import ClusterError, GaveUp, SettingError
from .unit import Process
from .work import check_sight

log = logging.getLogger(__name__)

_SIGHT = 120.0  # s in which a worker has to say what it sees
# s between looks for workers, and for which there may be none of a cluster of ours on this machine: it starts its own
# anew, and where it has given that up nobody does. Other people's clusters may wait for a queue, for days.
_ASK, _ALONE = 5.0, 120.0


@contextmanager
def crew(
    places: int,
    ring: Callable[[], None],
    *,
    cluster: Any = None,
    preset: str | None = None,
    settings: Mapping[str, Any] = {},
    client: Any = None,
    process: Process,
    check: Callable[[], tuple[Sequence[str], Sequence[str]]],
) -> Iterator[Flow]:
    """Give those who work; a cluster that was started for it is closed at the end.

    `check` gives the folders and the outputs that workers have to see.

    Raises
    ------
    SettingError : both a cluster and a client are given
    ClusterError : workers do not see the folders
    """
    if client is not None and cluster is not None:
        raise SettingError("cluster= and client= were given; one of them says where to run")
    if client is not None:
        yield _flow(client, places, ring, lambda: None, process, check)
    elif cluster is None and preset is None and not settings:
        flow = ThreadFlow(places, ring)
        if flow.places < places:
            log.info("%d recordings at a time, as many as there are cores (%d were asked for)", flow.places, places)
        yield flow
    elif cluster is None or isinstance(cluster, str):
        from ..clusters.start import cluster as start

        with start(cluster, preset, **settings) as started, started.get_client() as found:
            log.info("cluster %s; dashboard %s", started.settings.kind, found.dashboard_link)
            yield _flow(found, places, ring, _Beat(started, found, _ALONE), process, check)
    else:
        with cluster.get_client() as found:
            yield _flow(found, places, ring, _Beat(cluster, found), process, check)


class _Beat:
    """Tells what becomes of worker jobs, and raises where there will be no more workers."""

    def __init__(self, cluster: Any, client: Any, alone: float = math.inf) -> None:
        self._watch, self._client, self._alone = getattr(cluster, "watch", None), client, alone
        self._queue = getattr(self._watch, "queue", None)
        self._asked = self._seen = time.monotonic()

    def __call__(self) -> None:
        if self._watch is not None:
            for line in self._watch.messages():
                log.info("cluster: %s", line)
            self._watch.check()
        now = time.monotonic()
        if self._queue is not None or now - self._asked < _ASK:  # a queue has a patience of its own
            return
        self._asked = now
        if self._client.scheduler_info()["workers"]:
            self._seen = now
        elif now - self._seen > self._alone:
            raise GaveUp(f"there has been no worker for {self._alone:g} s, and none comes; run the same again to go on")


def _flow(
    client: Any,
    places: int,
    ring: Callable[[], None],
    beat: Callable[[], None],
    process: Process,
    check: Callable[[], tuple[Sequence[str], Sequence[str]]],
) -> ClientFlow:
    prepare = getattr(process, "prepare", None)
    if prepare is not None:
        prepare(client)
    trouble = client.submit(check_sight, *check(), pure=False).result(timeout=_SIGHT)
    if trouble:
        raise ClusterError(f"{trouble}; use folders that all machines see under one name, or no cluster")
    return ClientFlow(client, places, ring, beat)
