"""What is done stays done: restarts, other settings, outputs that go, new names, retries, and one owner."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from watched import Watched

from reelarray.driving import Failure
from reelarray.errors import FormatError
from reelarray.sinks.journal import Journal, OutputHeld, read_records
from reelarray.watching.finding import Gone, look
from reelarray.watching.metrics import Metrics
from reelarray.watching.options import Options
from reelarray.watching.state import State
from reelarray.watching.unit import Found
from reelarray.watching.work import check_sight


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    if made.service is not None:
        made.stop()


def records(watched: Watched, key: str) -> list[dict]:
    return [record for record in read_records(Path(watched.options["state_folder"])) if key in record]


def last_status(watched: Watched) -> dict:
    return json.loads(Path(watched.options["state_folder"], "status.json").read_text())


def test_a_restart_does_nothing_again_and_the_journal_has_one_line_each(watched):
    for name in ("a.rec", "b.rec"):
        watched.put(name)
    watched.start()
    watched.go(20)
    for _ in range(3):
        watched.again()
        assert watched.go(20).done == 2
    assert watched.process.names == ["a.rec", "b.rec"]
    assert [record["done"] for record in records(watched, "done")] == ["a.rec", "b.rec"]
    assert [record["planned"] for record in records(watched, "planned")] == ["a.rec", "b.rec"]


def test_outputs_that_are_gone_or_cut_short_are_made_again(watched):
    for name in ("a.rec", "b.rec", "c.rec", "d.rec"):
        watched.put(name)
    watched.start()
    watched.go(20)
    (watched.output / "a.rec.out").unlink()
    (watched.output / "b.rec.out").write_bytes(b"")
    (watched.output / "c.rec.out").write_bytes(b"4 aX")
    watched.again()
    watched.go(20)
    assert watched.process.names[4:] == ["a.rec", "b.rec"]
    watched.again(verify=True)
    watched.go(20)
    assert watched.process.names[6:] == ["c.rec"]
    watched.again(redo=["d.*"])
    watched.go(20)
    assert watched.process.names[7:] == ["d.rec"]
    assert watched.go().done == 4


def test_other_settings_or_a_recording_made_anew_are_a_new_unit(watched):
    path = watched.put("a.rec")
    watched.start()
    watched.go(20)
    path.write_bytes(b"4 cd")
    watched.touch(path)
    watched.go(20)
    assert watched.process.names == ["a.rec"] * 2
    watched.process.fingerprint = "def"
    watched.again()
    watched.go(20)
    assert watched.process.names == ["a.rec"] * 3
    assert watched.go().done == 1


def test_a_folder_that_is_moved_as_a_whole_is_still_done(watched, tmp_path):
    watched.put("a.rec")
    watched.start()
    watched.go(20)
    watched.stop()
    (tmp_path / "new").mkdir()
    for name in ("in", "out", "state"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    watched.folder = tmp_path / "new" / "in"
    watched.options |= {"folders": (str(watched.folder),), "state_folder": str(tmp_path / "new" / "state")}
    watched.process.output = watched.output = tmp_path / "new" / "out"
    watched.start()
    assert watched.go(20).done == 1
    assert watched.process.names == ["a.rec"]


def test_a_new_name_takes_over_what_was_made_but_a_copy_does_not(watched):
    path = watched.put("a.rec", b"4 " + b"x" * 200_000)
    watched.start()
    watched.go(20)
    modified = path.stat().st_mtime_ns
    path.rename(watched.folder / "b.rec")
    watched.go(20)
    assert watched.process.names == ["a.rec"]
    assert records(watched, "done")[-1]["origin"] == "renamed from a.rec"
    (watched.folder / "c.rec").write_bytes((watched.folder / "b.rec").read_bytes())
    os.utime(watched.folder / "c.rec", ns=(modified, modified))
    watched.go(20)
    other = bytearray((watched.folder / "c.rec").read_bytes())
    other[-1] ^= 1
    (watched.folder / "c.rec").unlink()
    (watched.folder / "d.rec").write_bytes(other)
    os.utime(watched.folder / "d.rec", ns=(modified, modified))
    watched.go(20)
    assert watched.process.names == ["a.rec", "c.rec", "d.rec"]
    watched.again()
    assert watched.go(20).done == 3
    assert len(watched.process.names) == 3


def test_a_new_recording_under_the_old_name_of_a_renamed_one(watched):
    """What was made under the old name becomes that of the new recording; the renamed one gets its own."""
    path = watched.put("a.rec", b"4 " + b"x" * 100)
    watched.start()
    watched.go(20)
    path.rename(watched.folder / "b.rec")
    watched.go(20)
    watched.put("a.rec", b"4 " + b"y" * 100)
    counts = watched.go(30)
    assert (counts.done, counts.failed, counts.pending) == (2, 0, 0)
    assert (watched.output / "a.rec.out").read_bytes() == b"4 " + b"y" * 100
    assert (watched.output / "b.rec.out").read_bytes() == b"4 " + b"x" * 100


def test_errors_that_may_pass_are_tried_again_later_and_later_up_to_a_number(watched):
    watched.put("a.rec")
    begun = []

    def trouble(found):
        begun.append(watched.time.now())
        raise OSError(errno.EIO, "the disk says no")

    watched.process.trouble = trouble
    watched.options["attempts"] = 4
    watched.start()
    counts = watched.go(1500)
    waits = [b - a for a, b in pairwise(begun)]
    assert [wait - wanted for wait, wanted in zip(waits, (30, 120, 480), strict=True)] == [1, 1, 1]  # a step of time
    assert (counts.failed, counts.pending, counts.done) == (1, 0, 0)
    failed = records(watched, "failed")
    assert [record["attempts"] for record in failed] == [1, 2, 3, 4]
    assert [record["next_try"] is None for record in failed] == [False] * 3 + [True]
    assert "the disk says no" in last_status(watched)["failures"][0]["error"]
    assert "Traceback" in failed[0]["traceback"]

    watched.process.trouble = lambda found: None  # a new start gives one fresh series
    watched.again()
    assert watched.go(20).done == 1
    assert len(watched.process.calls) == 5
    assert last_status(watched)["failures"] == []


def test_a_wait_survives_a_restart_and_can_be_cut_short(watched):
    watched.put("a.rec")

    def trouble(found):
        raise MemoryError

    watched.process.trouble = trouble
    watched.start()
    watched.go(10)
    watched.again()
    watched.go(10)
    assert len(watched.process.calls) == 1
    watched.again(retry_failed=True)
    watched.go(10)
    assert len(watched.process.calls) == 2


def test_a_broken_file_fails_once_and_ends_nothing(watched, caplog):
    def trouble(found):
        if found.relative == "bad.rec":
            raise FormatError("bad.rec is no recording")

    watched.process.trouble = trouble
    for name in ("a.rec", "bad.rec", "c.rec"):
        watched.put(name)
    watched.start()
    counts = watched.go(1000)
    assert (counts.done, counts.failed) == (2, 1)
    assert watched.process.names.count("bad.rec") == 1
    assert "bad.rec failed (FormatError: bad.rec is no recording)" in caplog.text
    path = watched.put("bad.rec", b"6 abcd")  # a better one comes
    watched.process.trouble = lambda found: None
    watched.touch(path)
    assert watched.go(20).done == 3
    assert watched.go().failed == 0


def test_what_ran_when_a_worker_died_runs_alone_the_next_time(watched):
    class Killing(type(watched.flow)):
        """Of the units of a batch that holds the bad one all seem to have killed their worker."""

        beside: list = []  # noqa: RUF012

        def landed(self):
            if not any("bad" in unit for unit in self.under_way):
                return super().landed()
            self.beside.append(len(self.under_way))
            units, error = list(self.under_way), RuntimeError("a worker died")
            self.under_way.clear()
            return [Failure.of(unit, error, kind="killed") for unit in units]

    watched.flow = Killing(4)
    for name in ("a.rec", "bad.rec", "c.rec", "d.rec", "e.rec"):
        watched.put(name)
    watched.start()
    counts = watched.go(400)
    assert (counts.done, counts.failed) == (4, 1)
    assert Killing.beside == [4, 1, 1]


def test_a_full_disk_is_no_fault_of_a_recording(watched, caplog):
    watched.put("a.rec")
    full = [True]

    def trouble(found):
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    watched.process.trouble = trouble
    watched.start()
    counts = watched.go(100)
    assert (counts.pending, counts.failed) == (1, 0)
    assert records(watched, "failed") == []
    assert 2 <= len(watched.process.calls) <= 5
    full[0] = False
    assert watched.go(60).done == 1
    assert caplog.text.count("nothing is begun until there is room") <= len(watched.process.calls)


def test_too_little_free_space_pauses_and_goes_on(watched, caplog):
    caplog.set_level("INFO")
    watched.put("a.rec")
    free = [10**12]
    watched.free = lambda folder: free[0]
    watched.start()
    watched.go(20)
    free[0] = 10**9
    watched.put("b.rec")
    counts = watched.go(100)
    assert (counts.done, counts.pending) == (1, 1)
    assert caplog.text.count("nothing is begun until there is room") == 1
    assert last_status(watched)["service"]["paused"].startswith("1 GB are free")
    free[0] = 10**12
    assert watched.go(20).done == 2
    assert "there is room again" in caplog.text


def test_too_little_free_space_counts_from_the_first_recording_on(watched):
    watched.put("a.rec")
    watched.free = lambda folder: 10**9
    watched.start()
    assert watched.go(20).pending == 1
    assert watched.process.calls == []


def test_two_recordings_with_one_output_collide(watched):
    watched.options["recursive"] = True
    watched.put("a/x.rec", age=10)
    watched.put("b/x.rec", b"4 zz")
    watched.start()
    counts = watched.go(30)
    assert (counts.done, counts.failed) == (1, 1)
    (failed,) = records(watched, "failed")
    assert failed["message"].startswith("collision: ")
    assert "by_analyser" in failed["message"]
    assert (watched.output / "x.rec.out").read_bytes() == b"4 ab"


def test_a_second_service_is_refused_with_the_name_of_the_first(watched):
    watched.start()
    with pytest.raises(OutputHeld, match=f"process {os.getpid()}"):
        watched.start()


def test_torn_and_damaged_lines_cost_their_recordings(watched):
    for name in ("a.rec", "b.rec"):
        watched.put(name)
    watched.start()
    watched.go(20)
    watched.stop()
    (path,) = Path(watched.options["state_folder"], "done").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    assert b'"done":"b.rec"' in lines[-1]
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    watched.start()
    watched.go(20)
    assert watched.process.names == ["a.rec", "b.rec", "b.rec"]


def test_a_journal_of_many_lines_is_made_smaller_and_says_the_same(watched):
    path = watched.put("a.rec")
    watched.put("b.rec")
    watched.start()
    for k in range(60):
        path.write_bytes(b"4 %02d" % k)
        watched.touch(path, -k)
        watched.go(10)
    assert len(records(watched, "done")) > 50
    watched.again()
    assert [record["done"] for record in records(watched, "done")] == ["b.rec", "a.rec"]
    assert watched.go(30).done == 2
    assert len(watched.process.names) == len(set(watched.process.names)) + 59


def test_leftovers_of_a_killed_service_are_removed_and_others_stay(watched):
    watched.put("a.rec")
    watched.start()
    watched.flow.hold = True
    watched.go(20)
    state = watched.service.state
    state._journal.close()  # as a kill does; the lease goes by itself
    state._closed = True
    left = watched.output / ".a.rec.out.0123456789ab.part"
    foreign = watched.output / ".z.rec.out.0123456789ab.part"
    store = watched.output / ".a.rec.out.abcdefabcdef.part"
    store.mkdir()
    for path in (left, foreign, store / "zarr.json"):
        path.write_bytes(b"half")
    watched.flow = type(watched.flow)()
    watched.start()
    assert sorted(p.name for p in watched.output.iterdir()) == [foreign.name]
    assert watched.go(20).done == 1


def test_what_is_dropped_at_a_stop_is_pending(watched):
    watched.put("a.rec")
    watched.start()
    watched.flow.hold = True
    watched.go(20)
    assert watched.service.counts().running == 1
    watched.stop()
    assert last_status(watched)["counts"] == {"pending": 1, "running": 0, "done": 0, "failed": 0}
    watched.flow.hold = False
    watched.start()
    assert watched.go(20).done == 1


def test_an_analyser_keeps_its_name_when_another_folder_of_that_name_comes(watched):
    watched.options["recursive"] = True
    watched.process.by_analyser = True
    watched.put("left/raw/1.rec")
    watched.start()
    watched.go(20)
    watched.put("right/raw/1.rec", b"4 zz")
    watched.go(20)
    watched.again()
    assert watched.go(20).done == 2
    assert [found.analyser for found in watched.process.calls] == ["raw", "right-raw"]


def test_two_folders_of_one_name_that_are_there_at_first_are_told_apart(watched):
    watched.options |= {"recursive": True, "analysers": {str(watched.folder / "c"): "RSA 5100"}}
    watched.process.by_analyser = True
    for name in ("left/raw/1.rec", "right/raw/1.rec", "c/1.rec", "0.rec"):
        watched.put(name)
    watched.start()
    watched.go(20)
    assert {found.relative: found.analyser for found in watched.process.calls} == {
        "left/raw/1.rec": "left-raw",
        "right/raw/1.rec": "right-raw",
        "c/1.rec": "RSA 5100",
        "0.rec": "in",
    }


def test_lines_of_numbers_go_on_in_a_new_file(tmp_path):
    metrics = Metrics(tmp_path / "metrics.jsonl", most_bytes=2000)
    found = Found("/data/a.rec", "/data", "a.rec", "data", 4, 0)
    for k in range(15):
        metrics.note(float(k), found, 1.5, 0.5, 100, "done")
    metrics.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.1.jsonl", "metrics.jsonl"]
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (line["time"], line["age"], line["samples_per_second"]) == ("1970-01-01T00:00:14Z", 1.5, 200.0)
    assert sum(len(path.read_text().splitlines()) for path in tmp_path.iterdir()) == 15


def test_what_workers_do_not_see_is_said(tmp_path):
    (tmp_path / "a.rec").write_bytes(b"12")
    assert check_sight([str(tmp_path)], [str(tmp_path / "a.out")]) == ""
    assert sorted(os.listdir(tmp_path)) == ["a.rec"]
    assert "do not see" in check_sight([str(tmp_path / "none")], [])
    assert "cannot write" in check_sight([], [str(tmp_path / "none" / "a.out")])


def test_a_second_folder_leaves_what_is_done_of_the_first(watched, tmp_path):
    watched.put("a.rec")
    watched.start()
    watched.go(20)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.rec").write_bytes(b"4 xx")
    watched.touch(tmp_path / "more" / "a.rec")
    watched.options["folders"] = (str(watched.folder), str(tmp_path / "more"))
    watched.process.by_analyser = True
    watched.again()
    counts = watched.go(30)
    assert (counts.done, [f.path for f in watched.process.calls]) == (
        2,
        [str(watched.folder / "a.rec"), str(tmp_path / "more" / "a.rec")],
    )
    assert [record["done"] for record in records(watched, "done")] == ["a.rec", "more:a.rec"]


def test_the_status_tells_of_each_analyser(watched):
    watched.options |= {"recursive": True, "page_folder": str(watched.output)}
    watched.process.by_analyser = True

    def trouble(found):
        if "bad" in found.relative:
            raise FormatError("no")

    watched.process.trouble = trouble
    for name in ("a/1.rec", "a/bad.rec", "b/2.rec"):
        watched.put(name)
    watched.put("b/long.rec", b"20 x")
    watched.start()
    watched.go(60)
    found = last_status(watched)
    assert found["counts"] == {"pending": 1, "running": 0, "done": 2, "failed": 1}
    a, b = found["analysers"]["a"], found["analysers"]["b"]
    assert (a["latest"]["recording"], a["latest"]["picture"]) == ("a/1.rec", "a/1.rec.out")
    assert (a["last_error"]["recording"], a["oldest_waiting"]) == ("a/bad.rec", None)
    assert b["last_error"] is None
    assert b["oldest_waiting"].startswith("2023-11-14T")
    assert found["failures"][0] == {
        "recording": "a/bad.rec",
        "analyser": "a",
        "error": "FormatError: no",
        "attempts": 1,
        "next_try": None,
    }
    assert found["service"]["state"] == "running"
    lines = (Path(watched.options["state_folder"]) / "metrics.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["result"] for line in lines) == ["done", "done", "failed"]
    watched.stop()
    assert last_status(watched)["service"]["state"] == "stopped"
    watched.service = None


def test_a_name_that_is_no_text_is_left_out_and_said_so_once(watched, caplog):
    try:
        os.close(os.open(os.fsencode(watched.folder) + b"/\xff\xfe.rec", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system takes text only")
    watched.put("\u00e9\u4e2d.rec")
    watched.start()
    assert watched.go(100).done == 1
    assert caplog.text.count("no UTF-8 text") == 1
    watched.again()
    assert watched.go(20).done == 1
    assert watched.process.names == ["\u00e9\u4e2d.rec"]


def test_a_journal_that_cannot_be_written_is_a_pause_not_an_end(watched, monkeypatch, caplog):
    watched.put("a.rec")
    note, broken = Journal.note, [True]

    def refuse(self, records):
        if broken[0]:
            raise OSError(errno.EIO, "Input/output error")
        note(self, records)

    watched.start()
    monkeypatch.setattr(Journal, "note", refuse)
    counts = watched.go(200)
    assert (counts.pending, counts.failed, watched.process.calls) == (1, 0, [])
    broken[0] = False
    assert watched.go(60).done == 1
    watched.put("b.rec")
    watched.flow.hold = True
    watched.go(20)
    broken[0], watched.flow.hold = True, False
    assert watched.go(100).done == 1
    broken[0] = False
    assert watched.go(60).done == 2


def test_the_newest_recording_of_an_analyser_stays_the_latest(watched):
    watched.put("new.rec")
    watched.start()
    watched.go(20)
    watched.put("old.rec", age=1000)
    watched.go(20)
    assert last_status(watched)["analysers"]["in"]["latest"]["recording"] == "new.rec"


def test_an_idle_service_writes_next_to_nothing(watched, monkeypatch):
    watched.put("a.rec")
    watched.start()
    watched.go(60)
    write, written = watched.service.status.write, []
    monkeypatch.setattr(watched.service.status, "write", lambda content, **more: (written.append(1), write(content)))
    journals = list(Path(watched.options["state_folder"]).rglob("*.jsonl"))
    before = [f.stat().st_size for f in journals]
    watched.go(300)
    assert 1 <= len(written) <= 10
    assert [f.stat().st_size for f in journals] == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": "poll!"}, "mode='poll!'"),
        ({"settle_seconds": -1}, "settle_seconds=-1"),
        ({"attempts": 0, "order": "first"}, "order='first'.*attempts=0"),
        ({"suffixes": ("tiq",)}, "begins with a dot"),
        ({"suffixes": ".tiq"}, "suffixes='.tiq'"),
        ({"backoff": ()}, "backoff"),
        ({"poll_seconds": float("nan")}, "poll_seconds=nan"),
        ({"in_flight": 1.5}, "in_flight=1.5"),
        ({"folders": ()}, "at least one folder"),
    ],
)
def test_values_that_cannot_be_are_refused_all_at_once(given, told):
    with pytest.raises(ValueError, match=told):
        Options(**({"folders": ("/data",)} | given))


def test_a_state_that_cannot_be_read_lets_go_of_the_journal(tmp_path, monkeypatch):
    def broken(self):
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr(State, "_load", broken)
        with pytest.raises(RuntimeError):
            State(tmp_path / "state", "abc", 0.0)
    State(tmp_path / "state", "abc", 0.0).close()


def test_a_folder_with_the_name_of_a_recording_fails_and_ends_nothing(watched):
    (watched.folder / "x.rec").mkdir()
    watched.put("a.rec")
    watched.start()
    counts = watched.go(60)
    assert (counts.done, counts.failed) == (1, 1)
    ((unit, entry),) = watched.service.state.failures()
    assert unit == "x.rec"
    assert "is a folder with the name of a recording" in str(entry)


def test_a_pipe_with_the_name_of_a_recording_is_left_alone(watched):
    pipe = watched.folder / "x.rec"
    os.mkfifo(pipe)
    assert isinstance(look(str(pipe), str(watched.folder)), Gone)
    watched.put("a.rec")
    watched.start()
    assert watched.go(30).done == 1


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize("error", [ValueError("a \udcff that is no text"), Unsayable()])
def test_errors_with_odd_texts_are_failures_like_others(watched, error):
    def trouble(found):
        raise error

    watched.process.trouble = trouble
    watched.put("a.rec")
    watched.start()
    assert watched.go(30).failed == 1
    watched.process.trouble = lambda found: None
    watched.again()
    assert watched.go(30).done == 1


def test_what_is_no_line_of_json_is_a_failure_and_numbers_of_numpy_are_numbers(watched, monkeypatch):
    real = type(watched.process).__call__

    def odd(self, found):
        made = real(self, found)
        notes = {"peak": object()} if found.relative == "b.rec" else {}
        return replace(made, samples=np.int64(3), notes=notes)

    monkeypatch.setattr(type(watched.process), "__call__", odd)
    for name in ("a.rec", "b.rec"):
        watched.put(name)
    watched.start()
    counts = watched.go(30)
    assert (counts.done, counts.failed) == (1, 1)
    ((unit, entry),) = watched.service.state.failures()
    assert unit == "b.rec"
    assert "no line of JSON" in entry.error


def test_a_parent_folder_and_other_settings_take_over_from_its_folders(watched):
    (watched.folder / "A").mkdir()
    (watched.folder / "B").mkdir()
    watched.process.by_analyser = True
    watched.options |= {"folders": (str(watched.folder / "A"), str(watched.folder / "B"))}
    for name in ("A/1.rec", "B/1.rec"):
        watched.put(name)
    watched.start()
    assert watched.go(30).done == 2
    watched.service.end()
    watched.process.fingerprint = "other"
    watched.options |= {"folders": (str(watched.folder),), "recursive": True}
    watched.start()
    counts = watched.go(30)
    assert (counts.done, counts.failed) == (2, 0)


def test_a_failed_recording_that_is_removed_is_no_failure_any_more(watched):
    def trouble(found):
        raise ValueError("broken")

    watched.process.trouble = trouble
    path = watched.put("a.rec")
    watched.start()
    assert watched.go(30).failed == 1
    path.unlink()
    assert watched.go(70).failed == 0
