"""Who does the work: threads of this process, a client that is there, or a cluster that is started for the service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..driving import ClientFlow, Flow, ThreadFlow
from ..errors import ClusterError, SettingError
from .unit import Process
from .work import check_sight

log = logging.getLogger(__name__)

_SIGHT = 120.0  # s in which a worker has to say what it sees


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
            yield _flow(found, places, ring, _Beat(started), process, check)
    else:
        with cluster.get_client() as found:
            yield _flow(found, places, ring, _Beat(cluster), process, check)


class _Beat:
    """Tells what becomes of worker jobs, and raises where there will be no more."""

    def __init__(self, cluster: Any) -> None:
        self._watch = getattr(cluster, "watch", None)

    def __call__(self) -> None:
        if self._watch is not None:
            for line in self._watch.messages():
                log.info("cluster: %s", line)
            self._watch.check()


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
