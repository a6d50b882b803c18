"""The watch of worker jobs, with a queue and a cluster that do as they are told."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from itertools import count

import pytest

from reelarray.clusters import records
from reelarray.clusters import watch as watching
from reelarray.clusters.logs import last_words, newest_log, tail
from reelarray.clusters.queues import State
from reelarray.clusters.watch import JobWatch
from reelarray.errors import ClusterError, ReelError, WorkerJobsDied


class Queue:
    """States as set; jobs that nobody has set are pending."""

    def __init__(self):
        self.said, self.asked = {}, 0
        self.broken = None

    def states(self, ids):
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return {job_id: State(self.said.get(job_id, "PENDING"), reason="None") for job_id in ids}


class Cluster:
    """The part of Dask's cluster that the watch touches: which jobs are wanted, and that they are submitted."""

    _adaptive = None

    def __init__(self, watch, ids):
        self.watch, self.ids = watch, ids
        self.worker_spec, self.numbers, self.refuses, self.closed = {}, count(), None, threading.Event()

    def new_worker_spec(self):
        return {f"w-{next(self.numbers)}": {}}

    def scale(self, jobs):
        while len(self.worker_spec) < jobs:
            self.worker_spec |= self.new_worker_spec()
        self.sync(self.settle)

    async def settle(self):
        for name in self.worker_spec:
            if not any(job.name == name for job in self.watch.records.all):
                if self.refuses:
                    self.watch.records.refused(name, self.refuses)
                else:
                    self.watch.records.submitted(name, str(next(self.ids)))

    def __await__(self):
        return self.settle().__await__()

    def sync(self, function, *arguments):
        return asyncio.run(function(*arguments))

    def close(self):
        self.closed.set()


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        sleep = staticmethod(lambda seconds: None)

    made = Clock()
    for module in (watching, records):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def made(tmp_path, clock):
    def make(jobs, *, queue=True, processes=1):
        asked = Queue() if queue else None
        watch = JobWatch(asked, interval=30, patience=1800, log_directory=str(tmp_path), processes=processes)
        cluster = Cluster(watch, count(12))
        cluster.scale(jobs)
        return asked, watch, cluster

    return make


def test_a_job_that_ends_is_replaced_and_told(made):
    queue, watch, cluster = made(2)
    queue.said |= {"12": "RUNNING", "13": "RUNNING"}
    watch.records.worker_came("w-0", "tcp://a")
    watch.records.worker_came("w-1", "tcp://b")
    assert not watch.look(cluster) or watch.counts() == {"RUNNING": 2}
    queue.said["12"] = "CANCELLED"
    watch.records.worker_left("tcp://a")
    watch.look(cluster)
    assert watch.messages() == ["worker job 12 ended: CANCELLED; replaced by 14"]
    assert watch.messages() == []
    assert list(cluster.worker_spec) == ["w-1", "w-2"]
    assert watch.job_ids() == ["13", "14"]
    watch.check()


def test_jobs_of_a_run_that_was_cancelled_are_not_replaced(made, tmp_path, monkeypatch):
    queue, watch, cluster = made(1)
    monkeypatch.setenv("REELARRAY_RUN", str(tmp_path))
    (tmp_path / "cancelled").touch()
    watch.records.worker_came("w-0", "tcp://a")
    watch.records.worker_left("tcp://a")
    queue.said["12"] = "CANCELLED"
    watch.look(cluster)
    assert watch.job_ids() == []
    (tmp_path / "cancelled").unlink()
    watch.look(cluster)
    assert watch.job_ids() == ["13"]


def test_one_question_for_all_jobs(made):
    queue, watch, cluster = made(50)
    watch.look(cluster)
    assert queue.asked == 1
    assert watch.counts() == {"PENDING": 50}


def test_all_jobs_lost_at_once_are_replaced_and_are_no_deaths(made):
    queue, watch, cluster = made(8)
    for number in range(8):
        watch.records.worker_came(f"w-{number}", f"tcp://{number}")
    for number in range(8):
        watch.records.worker_left(f"tcp://{number}")
    queue.said |= {str(number): "CANCELLED" for number in range(12, 20)}
    watch.look(cluster)
    watch.check()
    assert len(watch.messages()) == 8
    assert watch.counts() == {"PENDING": 8}


def test_jobs_that_retire_do_not_count_however_often(made):
    queue, watch, cluster = made(1)
    for number in range(20):
        watch.records.worker_came(f"w-{number}", "tcp://a")
        watch.records.worker_left("tcp://a")
        queue.said[str(12 + number)] = "COMPLETED"
        watch.look(cluster)
        watch.check()
    assert watch.messages()[-1] == "worker job 31 ended: COMPLETED, its worker has retired; replaced by 32"


def test_two_jobs_without_a_worker_end_it_with_the_last_words_of_the_log(made, tmp_path, clock):
    queue, watch, cluster = made(1)
    queue.said["12"] = "FAILED"
    watch.look(cluster)
    watch.check()
    (tmp_path / "w-12.err").write_text("older\n")
    (tmp_path / "w-13.err").write_text("line 10: /site/env.sh: No such file or directory\n")
    queue.said["13"] = "FAILED"
    watch.look(cluster)
    with pytest.raises(WorkerJobsDied, match=r"12 \(FAILED\), 13 \(FAILED\)(?s:.*)/site/env.sh: No such file") as found:
        watch.check()
    assert found.value.states == {"12": "FAILED", "13": "FAILED"}
    assert len(watch.records.all) == 2  # no third was submitted
    assert isinstance(found.value, ClusterError)
    assert isinstance(found.value, RuntimeError)


def test_later_five_in_a_row_end_it_and_only_without_a_worker(made):
    queue, watch, cluster = made(2)
    watch.records.worker_came("w-0", "tcp://a")
    queue.said["12"] = "RUNNING"
    for number in range(13, 33):
        queue.said[str(number)] = "FAILED"
        watch._due = 0.0
        watch.look(cluster)
    watch.check()  # one worker works on
    watch.records.worker_left("tcp://a")
    queue.said |= {"12": "NODE_FAIL", **{str(number): "FAILED" for number in range(33, 40)}}
    watch.look(cluster)
    with pytest.raises(WorkerJobsDied):
        watch.check()


def test_jobs_that_die_are_submitted_again_ever_more_slowly(made, clock):
    queue, watch, cluster = made(2)
    watch.records.worker_came("w-0", "tcp://a")
    queue.said |= {"12": "RUNNING", **{str(number): "FAILED" for number in range(13, 1000)}}
    for _ in range(600):
        clock.now += 2
        watch.look(cluster)
    assert 8 <= len(watch.records.all) - 2 <= 16
    watch.check()


def test_what_was_scaled_away_is_neither_replaced_nor_a_death(made):
    queue, watch, cluster = made(6)
    for name in list(cluster.worker_spec)[1:]:
        del cluster.worker_spec[name]
    queue.said |= {str(number): "CANCELLED" for number in range(13, 18)}
    watch.look(cluster)
    watch.check()
    assert watch.messages() == []
    assert list(cluster.worker_spec) == ["w-0"]
    assert watch.counts() == {"PENDING": 1}


def test_an_adaptive_cluster_asks_for_jobs_itself(made):
    class Adaptive:
        periodic_callback = object()

    queue, watch, cluster = made(2)
    cluster._adaptive = Adaptive()
    watch.records.worker_came("w-0", "tcp://a")
    queue.said["12"] = "NODE_FAIL"
    watch.look(cluster)
    assert list(cluster.worker_spec) == ["w-1"]
    assert watch.messages() == ["worker job 12 ended: NODE_FAIL; Dask asks for another when it needs one"]


def test_workers_of_one_job_have_its_name(made):
    queue, watch, cluster = made(2, processes=3)
    watch.records.worker_came("w-1-2", "tcp://a")
    assert [job.workers for job in watch.records.all] == [set(), {"tcp://a"}]
    queue.said |= {"12": "FAILED", "13": "RUNNING"}
    watch.look(cluster)
    watch.check()
    assert watch.records.deaths == 1


def test_a_job_that_is_requeued_goes_on(made, clock):
    queue, watch, cluster = made(1)
    queue.said["12"] = "RUNNING"
    watch.look(cluster)
    queue.said["12"] = "PENDING"
    clock.now += 299
    watch.look(cluster)
    queue.said["12"] = "RUNNING"
    clock.now += 299
    watch.look(cluster)
    watch.check()
    assert watch.job_ids() == ["12"]


def test_a_forgotten_job_has_ended_unless_its_worker_is_there(made, clock):
    queue, watch, cluster = made(2)
    watch.records.worker_came("w-0", "tcp://a")
    watch.records.worker_came("w-1", "tcp://b")
    watch.records.worker_left("tcp://b")
    queue.said |= {"12": "UNKNOWN", "13": "UNKNOWN"}
    watch.look(cluster)
    clock.now += records.FORGOTTEN - 1
    watch.look(cluster)
    assert watch.job_ids() == ["12", "13"]
    clock.now += 2
    watch.look(cluster)
    (said,) = watch.messages()
    assert said == "worker job 13 ended: UNKNOWN (the queue does not know it any more); replaced by 14"
    assert watch.records.is_there("13")  # nobody knows: it is cancelled all the same
    assert watch.records.is_there("12")
    assert not watch.records.is_there("99")


def test_a_queue_that_does_not_answer_is_borne_for_ten_minutes(made, clock):
    queue, watch, cluster = made(1)
    queue.broken = ClusterError("squeue: error: Unable to contact slurm controller")
    for _ in range(20):
        watch.look(cluster)
        clock.now += 29
        watch.check()
    assert [event for event in watch.messages() if "does not answer" in event] == [
        f"the queue does not answer and will be asked again: {queue.broken}"
    ]
    queue.broken = None
    watch.look(cluster)
    queue.broken = ClusterError("squeue: error: again")
    watch.look(cluster)
    clock.now += 601
    watch.look(cluster)
    with pytest.raises(ClusterError, match="has not answered for 10 min: squeue: error: again"):
        watch.check()


def test_refusals_are_asked_again_while_a_job_is_there_and_end_it_without(made, clock):
    queue, watch, cluster = made(2)
    watch.records.worker_came("w-0", "tcp://a")
    queue.said |= {"12": "RUNNING", "13": "COMPLETED"}
    cluster.refuses = "sbatch: error: QOSMaxSubmitJobPerUserLimit"
    for _ in range(100):
        watch.look(cluster)
        clock.now += 10
    watch.check()
    assert 4 <= len([job for job in watch.records.all if job.job_id is None]) <= 12  # not every time
    assert "the queue refused 1 worker jobs and will be asked again: sbatch: error: QOS" in " ".join(watch.messages())
    assert len(cluster.worker_spec) == 2  # what is owed is not forgotten
    cluster.refuses = None
    clock.now += 600
    watch.look(cluster)
    assert len(watch.job_ids()) == 2
    cluster.refuses = "sbatch: error: down"
    watch.records.worker_left("tcp://a")
    queue.said |= dict.fromkeys(watch.job_ids(), "NODE_FAIL")
    for _ in range(3):
        watch.look(cluster)
        clock.now += 601
    with pytest.raises(ClusterError, match="refuses worker jobs: sbatch: error: down"):
        watch.check()


def test_waiting_in_the_queue_is_told_and_has_an_end(made, clock):
    _, watch, cluster = made(3)
    for _ in range(59):
        clock.now += 30
        watch.look(cluster)
        watch.check()
    said = watch.messages()
    assert [event.partition(";")[0] for event in said] == [f"no worker yet after {n} min" for n in (2, 6, 16)]
    clock.now += 60
    watch.look(cluster)
    with pytest.raises(ClusterError, match="no worker job has started within 30 min; 3 worker jobs are in the queue"):
        watch.check()


def test_running_without_a_worker_has_a_shorter_end(made, clock, tmp_path):
    queue, watch, cluster = made(1)
    clock.now += 1700  # in the queue
    queue.said["12"] = "RUNNING"
    watch.look(cluster)
    clock.now += 290
    watch.look(cluster)
    watch.check()  # also beyond the patience for waiting: it runs
    clock.now += 20
    watch.look(cluster)
    with pytest.raises(ClusterError, match=r"12 have run for 5 min and no worker has connected: check interface="):
        watch.check()


def test_without_a_queue_workers_that_left_are_the_sign(made, clock):
    _, watch, cluster = made(2, queue=False)
    watch.records.worker_came("w-0", "tcp://a")
    watch.look(cluster)
    assert watch.counts() == {"RUNNING": 1, "PENDING": 1}
    watch.records.worker_left("tcp://a")
    watch.look(cluster)
    clock.now += 30
    watch.records.worker_came("w-0", "tcp://c")  # a nanny has started it again
    watch.look(cluster)
    watch.records.worker_left("tcp://c")
    watch.look(cluster)
    clock.now += 40
    watch.look(cluster)
    assert watch.messages() == []
    clock.now += 30
    watch.look(cluster)
    assert watch.messages() == ["worker job 12 ended: UNKNOWN (its workers have gone); replaced by 14"]
    assert watch.records.is_there("12")


# ---- the thread ------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "QUICK", 0.05)
    watch = JobWatch(Queue(), interval=0.05, patience=1800, log_directory=str(tmp_path), processes=1)
    cluster = Cluster(watch, count(12))
    cluster.scale(1)
    yield watch, cluster
    watch.stop()


def wait_for(happened, seconds=30):
    until = time.monotonic() + seconds
    while not happened() and time.monotonic() < until:
        time.sleep(0.02)
    assert happened()


def failed(watch):
    def raised():
        try:
            watch.check()
        except ReelError:
            return True
        return False

    return raised


def test_who_looks_is_told_and_the_cluster_is_left_to_them(running, monkeypatch):
    watch, cluster = running
    monkeypatch.setattr(watching, "last_words", lambda *arguments: "words")
    watch.queue.said = {str(number): "FAILED" for number in range(12, 20)}
    watch.check()
    watch.start(cluster)
    wait_for(failed(watch))
    wait_for(lambda: not any(thread.name == "reelarray-watch" for thread in threading.enumerate()))
    assert not cluster.closed.is_set()


def test_where_nobody_looks_the_cluster_is_closed_and_the_error_logged(running, monkeypatch, caplog):
    watch, cluster = running
    monkeypatch.setattr(watching, "ATTENDED", 0.2)
    monkeypatch.setattr(watching, "last_words", lambda *arguments: "the words of the log")
    watch.queue.said = {str(number): "FAILED" for number in range(12, 20)}
    watch.start(cluster)
    wait_for(cluster.closed.is_set)
    said = [(record.levelname, record.message) for record in caplog.records if record.name == "reelarray.clusters"]
    assert ("ERROR", "the cluster is closed, so that what waits for it ends") in said
    assert any(level == "ERROR" and "the words of the log" in text for level, text in said)
    assert ("WARNING", "worker job 12 ended: FAILED; replaced by 13") in said


def test_a_stumble_does_not_end_the_watch(running, caplog):
    watch, cluster = running
    watch.queue.broken = RuntimeError("a bug")
    watch.start(cluster)
    wait_for(lambda: any("stumbled" in record.message for record in caplog.records))
    watch.queue.broken = None
    watch.records.worker_came("w-0", "tcp://a")
    watch.queue.said["12"] = "CANCELLED"
    watch.records.worker_left("tcp://a")
    wait_for(lambda: watch.job_ids() == ["13"])


def test_a_cluster_that_is_dropped_is_not_kept_alive(tmp_path):
    watch = JobWatch(Queue(), interval=0.05, patience=1800, log_directory=str(tmp_path), processes=1)
    cluster = Cluster(watch, count(12))
    before = set(threading.enumerate())
    watch.start(cluster)
    (thread,) = set(threading.enumerate()) - before
    assert thread.name == "reelarray-watch"
    del cluster
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


# ---- logs and errors -------------------------------------------------------------------------------------------------


def test_the_newest_log_of_these_jobs_and_no_others(tmp_path):
    for number, name in enumerate(("x-12.err", "x-13.out", "x-13.err", "x-130.err", "13.pbs.ER", "x-14.err")):
        (tmp_path / name).write_text("" if name == "x-14.err" else name)
        __import__("os").utime(tmp_path / name, (1000 + 10 * (number // 3), 1000 + 10 * (number // 3)))
    assert newest_log(tmp_path, ["12", "13"]).name == "13.pbs.ER"
    (tmp_path / "13.pbs.ER").unlink()
    assert newest_log(tmp_path, ["12", "13.server", "14"]).name == "x-13.err"  # of two of one time, the errors
    assert newest_log(tmp_path, ["14", "7"]) is None
    assert newest_log(tmp_path / "nothing", ["12"]) is None
    assert last_words(tmp_path, ["7"], wait=0) == f"no log of them is in {tmp_path}"


def test_the_end_of_a_long_log(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(path, 2) == "line 99998\nline 99999"


def test_errors_of_jobs_survive_pickling():
    again = pickle.loads(pickle.dumps(WorkerJobsDied("all of them", {"12": "FAILED"})))
    assert (str(again), again.states) == ("all of them", {"12": "FAILED"})
