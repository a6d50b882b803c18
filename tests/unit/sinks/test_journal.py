"""The journal: lines that are torn or damaged, drivers one after the other, and how long it takes to read."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from reelarray.sinks import journal as journals
from reelarray.sinks.journal import Journal, OutputExists, OutputHeld, failures, read_records

A, B, C = ({"done": [k, k + 4], "of": "abc", "bytes": 10 + k} for k in (0, 4, 8))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "store" / ".reelarray"
    folder.mkdir(parents=True)
    made = Journal.hold(folder, folder.parent)
    made.begin({"fingerprint": "abc"})
    made.note([A, B])
    made.close()
    return folder


def again(folder):
    return Journal.hold(folder, folder.parent)


def done(records):
    return [record for record in records if "done" in record]


def only(folder):
    (path,) = (folder / "done").iterdir()
    return path


def test_what_is_noted_is_read_back_and_each_driver_has_a_file(folder):
    second = again(folder)
    assert second.header["fingerprint"] == "abc"
    assert done(second.records) == [A, B]
    assert [driver["pid"] for driver in second.drivers] == [os.getpid()]
    second.note([C])
    second.note([A])
    second.close()
    names = sorted(p.name for p in (folder / "done").iterdir())
    assert [n[:7] for n in names] == ["000001-", "000002-"]
    assert done(read_records(folder)) == [A, B, C, A]
    assert len(again(folder).drivers) == 2
    first = json.loads((folder / "done" / names[1]).read_bytes().splitlines()[0])
    assert first["pid"] == os.getpid()
    assert first["driver"] in names[1]


def test_who_notes_nothing_leaves_nothing(folder):
    before = sorted(folder.rglob("*"))
    again(folder).close()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_torn_last_line_does_not_count(folder, cut):
    path = only(folder)
    path.write_bytes(path.read_bytes()[:-cut])
    held = again(folder)
    assert done(held.records) == [A]
    held.note([B])
    held.close()
    assert done(read_records(folder)) == [A, B]


def test_damage_in_the_middle_costs_that_line_only(folder):
    path = only(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 20 + b"\n" + b'{"other": 1}\n[]\n' + lines[2])
    assert done(read_records(folder)) == [B]


@pytest.mark.parametrize("text", [b"", b"\n", b"hello\n", b"[1]\n", b'{"fingerprint": "abc"}\n', b'{"format": 99}\n'])
def test_an_output_without_a_header_is_refused_and_let_go(folder, text):
    (folder / journals.HEADER).write_bytes(text)
    for _ in range(2):
        with pytest.raises(OutputExists, match="overwrite=True"):
            again(folder)


def test_the_second_writer_is_told(folder):
    first = again(folder)
    with pytest.raises(OutputHeld, match=f"being written by another process .process {os.getpid()} on "):
        again(folder)
    first.close()
    again(folder).close()


def test_a_full_disk_leaves_whole_lines(folder):
    held = again(folder)
    held.note([C])
    path, file = Path(held._file.name), held._file

    class Full:
        name = str(path)

        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, data):
            return file.write(data[:7])

    held._file = Full()
    whole = path.read_bytes()
    with pytest.raises(OSError, match="No space left") as caught:
        held.note([A])
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == whole
    held._file = file
    held.note([A])
    held.close()
    assert done(read_records(folder)) == [A, B, C, A]


def test_failures_are_kept_by_unit_and_fingerprint(folder):
    held = again(folder)
    held.note([{"failed": [0, 4], "of": "abc", "message": "one"}, {"failed": "a.wav", "of": "x", "message": "two"}])
    held.note([{"failed": [0, 4], "of": "abc", "message": "three"}])
    held.close()
    found = failures(read_records(folder))
    assert {key: record["message"] for key, record in found.items()} == {
        ((0, 4), "abc"): "three",
        ("a.wav", "x"): "two",
    }


def test_a_driver_whose_lease_was_taken_notes_nothing_more(folder):
    held = again(folder)
    held.note([C])
    (folder / "lease").rename(folder / "gone")
    (folder / "lease").write_text('{"token": "somebody", "pid": 1, "host": "there"}')
    held.lease.renew()
    with pytest.raises(OutputHeld, match="taken over by process 1 on there"):
        held.note([A])
    held.close()
    assert (folder / "lease").exists()  # of somebody else
    assert done(read_records(folder)) == [A, B, C]


def test_100_000_lines_are_read_in_a_fraction_of_a_second(folder):
    line = json.dumps({"done": [0, 4, 0, 1], "of": "0" * 16, "bytes": 1048576, "crc": 2**31, "t": 1.7e9}).encode()
    with open(only(folder), "ab") as file:
        file.write((line + b"\n") * 100_000)
    begun = time.process_time()
    found = read_records(folder)
    took = time.process_time() - begun
    assert len(done(found)) == 100_002
    assert took < 2.5  # about 0.3 s; a wide margin for busy machines
