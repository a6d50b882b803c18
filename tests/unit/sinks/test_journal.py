"""The journal: lines that are torn or damaged, locks, and how long it takes to read."""

from __future__ import annotations

import json
import os
import time

import pytest

from reelarray.sinks import journal as journals
from reelarray.sinks.journal import Journal, OutputExists, OutputHeld, hold


@pytest.fixture
def path(tmp_path):
    (tmp_path / "store").mkdir()
    path = tmp_path / "store" / "journal.jsonl"
    made = Journal.create(hold(path), {"fingerprint": "abc"})
    made.mark([((0, 4, 0, 1), 10), ((4, 8, 0, 1), 11)])
    made.close()
    return path


def test_what_is_marked_is_read_back(path):
    again = Journal.open(path)
    assert again.header["fingerprint"] == "abc"
    assert again.units == [[0, 4, 0, 1], [4, 8, 0, 1]]
    again.mark([((8, 9, 0, 1), 1)])
    again.close()
    assert len(path.read_bytes().splitlines()) == 4


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_torn_last_line_does_not_count_and_is_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Journal.open(path)
    assert again.units == [[0, 4, 0, 1]]
    again.mark([((4, 8, 0, 1), 11)])
    again.close()
    assert path.read_bytes() == whole


def test_damage_in_the_middle_costs_that_line_only(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 20 + b"\n" + b'{"other": 1}\n[]\n' + lines[2])
    assert Journal.open(path).units == [[4, 8, 0, 1]]


@pytest.mark.parametrize("text", [b"", b"\n", b"hello\n", b"[1]\n", b'{"fingerprint": "abc"}\n', b'{"format": 99}\n'])
def test_a_journal_without_a_header_is_refused(path, text):
    path.write_bytes(text)
    with pytest.raises(OutputExists, match="overwrite=True"):
        Journal.open(path)
    hold(path).close()  # nobody holds it


def test_the_second_writer_is_told(path):
    first = Journal.open(path)
    with pytest.raises(OutputHeld, match="being written by another process"):
        Journal.open(path)
    first.close()
    Journal.open(path).close()


def test_the_lock_ends_with_its_process(path):
    child = os.fork()
    if not child:
        kept = Journal.open(path)
        os._exit(len(kept.units))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    Journal.open(path).close()


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    before = path.read_bytes()
    again = Journal.open(path)
    file = again._file

    class Full:
        name = "journal"

        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, data):
            return file.write(data[:7])

    again._file = Full()
    with pytest.raises(OSError, match="No space left"):
        again.mark([((8, 9, 0, 1), 1)])
    assert path.read_bytes() == before


def test_100_000_lines_are_read_in_well_under_a_second(path):
    line = json.dumps({"done": [0, 4, 0, 1], "bytes": 1048576}).encode() + b"\n"
    with open(path, "ab") as file:
        file.write(line * 100_000)
    begun = time.process_time()
    opened = Journal.open(path)
    took = time.process_time() - begun
    assert len(opened.units) == 100_002
    assert took < 1.5  # about 0.25 s; a wide margin for busy machines
    assert opened.header["format"] == journals.FORMAT
