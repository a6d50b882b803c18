"""`ra.cluster` on a real Slurm: jobs that come, die, are cancelled, retire, are refused."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from distributed.client import FutureCancelledError

import reelarray as ra

pytestmark = pytest.mark.slurm
SMALL = {"cores": 1, "memory": "512MiB", "name": "watched"}


def wait_for(happened, seconds=60):
    """What `happened` gives, as soon as it gives something."""
    until = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < until:
        time.sleep(0.1)
    assert found, f"not within {seconds} s"
    return found


def events(cluster, number):
    """The next events of a cluster, as many as that; what makes waiting useless is raised."""
    said: list[str] = []

    def enough():
        cluster.watch.check()
        said.extend(cluster.watch.messages())
        return said if len(said) >= number else None

    return wait_for(enough)


def cancel(job_ids):
    subprocess.run(["scancel", *job_ids], check=True)


def test_workers_connect_with_what_was_asked_for():
    with ra.cluster("slurm", jobs=2, **SMALL | {"cores": 2, "processes": 2, "umask": "0027"}) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(4, timeout=60)
            told = client.run(
                lambda: (os.environ["MALLOC_TRIM_THRESHOLD_"], os.umask(0o027), os.environ["SLURM_JOB_ID"])
            )
            assert {facts[:2] for facts in told.values()} == {("67108864", 0o027)}
            assert {facts[2] for facts in told.values()} == set(cluster.watch.job_ids())
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            assert {(one["nthreads"], one["memory_limit"]) for one in workers} == {(1, 2**28)}
            assert client.submit(sum, [1, 2]).result() == 3
        wait_for(lambda: cluster.watch.counts() == {"RUNNING": 2})
        ids = cluster.watch.job_ids()
        folder = cluster.settings.log_directory
        assert {f"watched-{job_id}.err" for job_id in ids} <= set(os.listdir(folder))
    assert queued("watched") == []


def queued(name):
    """Jobs with this name that have not ended."""
    command = ["squeue", "-h", "-n", name, "-o", "%i", "-t", "PENDING,RUNNING"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_job_that_is_cancelled_is_replaced():
    with ra.cluster("slurm", jobs=2, **SMALL) as cluster, cluster.get_client() as client:
        client.wait_for_workers(2, timeout=60)
        first, second = cluster.watch.job_ids()
        futures = client.map(lambda number: time.sleep(0.2) or number, range(60), pure=False)
        cancel([first])
        (said,) = events(cluster, 1)
        third = next(one for one in cluster.watch.job_ids() if one != second)
        assert said == f"worker job {first} ended: CANCELLED; replaced by {third}"
        assert sum(client.gather(futures)) == sum(range(60))
        client.wait_for_workers(2, timeout=60)


def test_all_jobs_cancelled_at_once_are_replaced_with_their_processes():
    with ra.cluster("slurm", jobs=3, **SMALL | {"cores": 2, "processes": 2}) as cluster, cluster.get_client() as client:
        client.wait_for_workers(6, timeout=60)
        before = cluster.watch.job_ids()
        cancel(before)
        assert len(events(cluster, 3)) == 3
        wait_for(lambda: len(cluster.scheduler.workers) == 6)
        assert len(cluster.watch.job_ids()) == 3
        assert not set(cluster.watch.job_ids()) & set(before)


def test_what_was_scaled_away_stays_away():
    with ra.cluster("slurm", jobs=3, **SMALL) as cluster, cluster.get_client() as client:
        client.wait_for_workers(3, timeout=60)
        cluster.scale(jobs=1)
        wait_for(lambda: sum(cluster.watch.counts().values()) == 1)
        time.sleep(5)  # five looks of the watch
        assert sum(cluster.watch.counts().values()) == 1
        assert cluster.watch.messages() == []


def test_workers_that_retire_are_replaced_before_the_queue_ends_their_jobs():
    """A walltime of a minute: each worker retires after 31 to 45 s, and its job ends by itself."""
    with ra.cluster("slurm", **SMALL | {"walltime": "00:01:00"}) as cluster, cluster.get_client() as client:
        client.wait_for_workers(1, timeout=60)
        (said,) = events(cluster, 1)
        assert "ended: COMPLETED, its worker has retired; replaced by" in said
        wait_for(lambda: len(cluster.scheduler.workers) == 1)


def test_a_bad_prologue_is_reported_with_the_end_of_the_log():
    start = time.monotonic()
    with ra.cluster("slurm", prologue=["source /site/env.sh"], **SMALL) as cluster:
        with pytest.raises(ra.WorkerJobsDied, match=r"\(FAILED(?s:.*)line \d+: /site/env.sh: No such file") as found:
            wait_for(lambda: cluster.watch.check(), 30)
        assert time.monotonic() - start < 30
        assert set(found.value.states.values()) == {"FAILED"}
        assert len(found.value.states) == 2


def test_what_waits_for_workers_that_never_come_ends(caplog):
    """As in a notebook: nobody asks the watch."""
    cluster = ra.cluster("slurm", prologue=["echo no such module >&2; exit 3"], **SMALL)
    try:
        with cluster.get_client() as client, pytest.raises(FutureCancelledError):
            client.submit(sum, [1, 2]).result(timeout=60)
        wait_for(lambda: cluster.status.name == "closed")
    finally:
        cluster.close()
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert any("no such module" in text for text in said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queue": "nosuch"}, "Invalid partition name specified"),
        ({"walltime": "10:00:00"}, "Requested time limit is invalid"),
        ({"cores": 64}, "More processors requested than permitted|Requested node configuration is not available"),
        ({"extra_directives": ["--no-such-option"]}, "no-such-option"),
    ],
)
def test_a_refusal_is_an_error_at_once_in_the_words_of_the_queue(options, words):
    with pytest.raises(ra.ClusterError, match=f"refused a worker job: .*({words})"):
        ra.cluster("slurm", jobs=4, **SMALL | options)
    assert queued("watched") == []


def test_a_notebook_in_a_job_of_its_own_can_submit(monkeypatch):
    """Its limits are not those of the workers."""
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "10", "SLURM_MEM_PER_CPU": "10"}.items():
        monkeypatch.setenv(name, value)
    with ra.cluster("slurm", **SMALL) as cluster, cluster.get_client() as client:
        client.wait_for_workers(1, timeout=60)


def test_an_adaptive_cluster_loses_no_job():
    with ra.cluster("slurm", **SMALL) as cluster, cluster.get_client() as client:
        cluster.adapt(minimum_jobs=1, maximum_jobs=2, interval="500ms")
        client.wait_for_workers(1, timeout=60)
        futures = client.map(lambda number: time.sleep(1) or number, range(30), pure=False)
        cancel(cluster.watch.job_ids())
        assert sum(client.gather(futures)) == sum(range(30))
        cluster.watch.check()


def test_encrypted_with_credentials_of_its_own():
    pytest.importorskip("cryptography", reason="security=True needs the package cryptography")
    with ra.cluster("slurm", security=True, **SMALL) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(1, timeout=60)
            assert {address.partition(":")[0] for address in cluster.scheduler.workers} == {"tls"}
        folder = cluster.settings.log_directory
        files = [name for name in os.listdir(folder) if name.startswith(".dask")]
        assert len(files) == 3
        assert {os.stat(os.path.join(folder, name)).st_mode & 0o077 for name in files} == {0}
    assert not [name for name in os.listdir(folder) if name.startswith(".dask")]
