"""When is a recording finished? One run of each, whichever way it came."""

from __future__ import annotations

import os

import pytest
from watched import Watched

from reelarray.driving import Stop
from reelarray.watching.finding import look


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    if made.service is not None:
        made.stop()


def test_a_slow_writer_gives_one_run(watched):
    watched.start()
    path = watched.folder / "a.rec"
    for _ in range(16):
        with open(path, "ab") as file:
            file.write(b"x" * 100)
        watched.touch(path)
        watched.go(1)
    assert watched.process.calls == []
    assert watched.go(60).done == 1
    assert [found.bytes for found in watched.process.calls] == [1600]


def test_a_declared_size_is_waited_for_and_no_longer(watched):
    watched.start()
    path = watched.put("a.rec", b"20 " + b"x" * 7)
    watched.go(120)
    assert watched.process.calls == []
    assert watched.go().pending == 1
    with open(path, "ab") as file:
        file.write(b"y" * 10)
    watched.touch(path)
    watched.go(25)
    assert [(found.bytes, found.partial) for found in watched.process.calls] == [(20, False)]


def test_two_looks_with_events_three_with_polls_and_a_long_rest_without_a_declared_size(watched):
    service = watched.start()
    for polling, declared, seconds in ((False, True, 2), (True, True, 4), (False, False, 6), (True, False, 6)):
        name = f"{polling}{declared}.rec"
        watched.put(name, b"4 ab" if declared else b"ab")
        service.finder.polling = set(service.finder.folders) if polling else set()

        seen = look(str(watched.folder / name), str(watched.folder))
        service.queue.add(seen, name, "in", watched.time.now())
        begun = watched.time.now()
        while service.queue.take(watched.time.now()) is None:
            watched.time.go(0.5)
        assert watched.time.now() - begun == seconds


def test_a_copy_that_was_given_up_is_used_as_it_is_and_again_when_it_grows(watched):
    watched.options["stalled"] = "use"
    watched.start()
    path = watched.put("a.rec", b"20 " + b"x" * 7)
    watched.go(590, 5)
    assert watched.process.calls == []
    watched.go(30, 5)
    assert [(found.bytes, found.partial) for found in watched.process.calls] == [(10, True)]
    with open(path, "ab") as file:
        file.write(b"y" * 10)
    watched.touch(path)
    watched.go(30)
    assert [(found.bytes, found.partial) for found in watched.process.calls] == [(10, True), (20, False)]
    assert watched.go().done == 1


def test_copy_then_rename_upper_case_and_names_of_copies_under_way(watched):
    watched.start()
    for name in (".a.rec", "a.rec.part", "a.rec.tmp", "a.rec~", "b.txt", "c.rec.partial", "c.rec.filepart"):
        watched.put(name)
    watched.put("B.REC")
    watched.go(30)
    os.rename(watched.folder / "a.rec.part", watched.folder / "a.rec")
    watched.go(30)
    assert watched.process.names == ["B.REC", "a.rec"]


def test_a_file_that_goes_before_it_is_ready_is_forgotten(watched, caplog):
    watched.start()
    path = watched.put("a.rec", b"20 x")
    watched.go(30)
    path.unlink()
    counts = watched.go(700, 5)
    assert (counts.pending, counts.failed, watched.process.calls) == (0, 0, [])


def test_one_that_changes_while_it_is_processed_is_processed_again(watched):
    watched.start()
    path = watched.put("a.rec")
    watched.flow.hold = True
    watched.go(30)
    assert list(watched.flow.under_way) == ["a.rec"]
    path.write_bytes(b"6 abcd")
    watched.touch(path)
    watched.go(30)
    assert list(watched.flow.under_way) == ["a.rec"], "never two runs of one path at a time"
    watched.flow.hold = False
    watched.go(30)
    assert watched.process.names == ["a.rec", "a.rec"]
    assert (watched.output / "a.rec.out").read_bytes() == b"6 abcd"
    assert watched.go().done == 1


def test_a_stalled_file_fails_with_that_reason_and_is_looked_at_when_it_grows(watched):
    watched.start()
    path = watched.put("short.rec", b"20 x")
    watched.go(700)
    assert watched.process.calls == []
    (failed,) = watched.service.state.failures()
    assert "truncated: its header declares more than the 4 bytes that are there" in str(failed)
    path.write_bytes(b"20 x" + b"y" * 16)
    watched.touch(path)
    counts = watched.go(30)
    assert (counts.done, counts.failed) == (1, 0)


def test_once_comes_to_an_end_and_leaves_what_still_grows(watched, caplog):
    watched.put("a.rec", age=1000)
    watched.put("new.rec", b"20 x")
    watched.put("stalled.rec", b"20 x", age=1000)
    watched.options["stalled"] = "use"
    service = watched.start(once=True)
    counts = service.run(Stop(environ={}))
    watched.service = None
    assert (counts.done, counts.pending, counts.failed, counts.made) == (2, 1, 0, 2)
    assert {found.relative: found.partial for found in watched.process.calls} == {"a.rec": False, "stalled.rec": True}
    assert "new.rec is not finished" in caplog.text


def test_the_oldest_or_the_newest_first_and_analysers_in_turn(tmp_path):
    for order, first in (("oldest", ["0", "1", "2"]), ("newest", ["9", "8", "7"])):
        watched = Watched(tmp_path / order) if (tmp_path / order).mkdir() is None else None
        watched.options |= {"order": order, "recursive": True}
        watched.process.by_analyser = True
        for k in range(10):
            watched.put(f"a/{k}.rec", age=100 - k)
        watched.put("b/late.rec")
        watched.flow.places = 1
        watched.start()
        watched.go(30)
        names = watched.process.names
        assert len(names) == 11
        assert names.index("b/late.rec") <= 1, "one with a backlog does not starve the others"
        assert [n[2] for n in names if n.startswith("a/")][:3] == first
        assert watched.flow.most == 1
        watched.stop()


def test_a_thousand_files_by_polls_open_each_once(watched, monkeypatch):
    for k in range(1000):
        watched.put(f"{k:03}.rec")
    opened = []
    complete = watched.complete
    watched.complete = lambda path: opened.append(path) or complete(path)
    watched.start()
    watched.flow.places = 16
    counts = watched.go(200)
    assert counts.done == len(opened) == len(set(watched.process.names)) == len(watched.process.calls) == 1000
    assert watched.flow.most <= 16
