"""`ra.cluster` on the simulated PBS, and on PBS's commands over a real Slurm where they are installed."""

from __future__ import annotations

import subprocess
import time

import pytest

import reelarray as ra

SMALL = {"cores": 1, "memory": "512MiB", "name": "watched"}
EITHER = [
    pytest.param(None, marks=pytest.mark.shim, id="shim"),
    pytest.param(None, marks=pytest.mark.torque, id="torque"),
]


def events(cluster, number, seconds=60):
    """The next events of a cluster, as many as that; what makes waiting useless is raised."""
    said: list[str] = []
    until = time.monotonic() + seconds
    while len(said) < number and time.monotonic() < until:
        cluster.watch.check()
        said += cluster.watch.messages()
        time.sleep(0.1)
    return said


@pytest.mark.parametrize("queue", EITHER)
def test_workers_connect_and_a_cancelled_job_is_replaced(queue):
    with ra.cluster("pbs", jobs=2, **SMALL) as cluster, cluster.get_client() as client:
        client.wait_for_workers(2, timeout=60)
        assert client.submit(sum, [1, 2]).result() == 3
        first = cluster.watch.job_ids()[0]
        subprocess.run(["qdel", first], check=True)
        (said,) = events(cluster, 1)
        # Torque's qstat does not say how a job ended.
        assert said.startswith((f"worker job {first} ended: CANCELLED", f"worker job {first} ended: ENDED"))
        assert "replaced by" in said
        client.wait_for_workers(2, timeout=60)


@pytest.mark.shim
def test_a_bad_prologue_is_reported_with_the_end_of_the_log():
    start = time.monotonic()
    with ra.cluster("pbs", prologue=["source /site/env.sh"], **SMALL) as cluster:
        with pytest.raises(ra.WorkerJobsDied, match=r"line \d+: /site/env.sh: No such file"):
            events(cluster, 99, 30)
        assert time.monotonic() - start < 30


@pytest.mark.shim
def test_a_refusal_is_an_error_at_once_in_the_words_of_the_queue(monkeypatch):
    monkeypatch.setenv("PBS_SHIM_REFUSE", "Unknown queue MSG=cannot locate queue")
    with pytest.raises(ra.ClusterError, match=r"refused a worker job: .*cannot locate queue"):
        ra.cluster("pbs", **SMALL)
