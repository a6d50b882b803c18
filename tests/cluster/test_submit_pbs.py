"""Runs submitted to PBS, as the shim simulates it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from submit_scenarios import *  # noqa: F403
from submit_scenarios import over, submitted

import reelarray as ra
from reelarray.clusters import folders
from reelarray.clusters.queues import get_queue

pytestmark = pytest.mark.shim


@pytest.fixture
def kind() -> str:
    return "pbs"


def test_a_refusal_leaves_nothing_behind(monkeypatch):
    monkeypatch.setenv("PBS_SHIM_REFUSE", "Unauthorized Request: not this week")
    with pytest.raises(ra.ClusterError, match="not this week"):
        submitted("pbs", "true", chain=2)
    assert ra.runs() == []


def test_every_directive_is_one_that_pbs_knows():
    run = submitted("pbs", "true", jobs=2, queue="long", account="sea", umask="0002", name="2022.run")
    status = over(run)
    assert status.state == "done", f"{status}\n{run.log('err')}"
    assert "#PBS -N r2022.run\n" in run.script


def test_the_walltime_ends_a_link_and_the_next_goes_on(pbs):
    run = submitted("pbs", "echo x >>tried; [ $(wc -l <tried) = 1 ] || exit 0; sleep 60", walltime=2, chain=2)
    status = over(run)
    assert status.state == "done"
    assert status.links[0].state in ("TIMEOUT", "CANCELLED")
    assert "walltime" in status.links[0].reason
    assert Path("tried").read_text() == "x\n" * 2


def test_links_that_have_nothing_to_do_begin_and_end(pbs):
    # PBS may remove, with a job that never ran, all that wait for it: the last link has to run.
    status = over(submitted("pbs", "true", chain=3))
    assert status.state == "done"
    assert [link.state for link in status.links] == ["COMPLETED"] * 3
    assert [link.begun is None for link in status.links] == [False, True, True]


def test_older_commands_are_understood_too(pbs):
    run = submitted("pbs", "sleep 1; exit 3")
    queue = get_queue("pbs")
    over(run)
    for answer in ("-f", "table"):
        commands = Path("older") / answer.strip("-")
        commands.mkdir(parents=True)
        wanted = '[ "$1" = -f ] && exec REAL -x "$@"' if answer == "-f" else '[ "${1#-}" = "$1" ] && exec REAL -x "$@"'
        text = f"#!/bin/bash\n{wanted}\necho usage >&2; exit 2\n".replace("REAL", str(pbs.commands / "qstat"))
        (commands / "qstat").write_text(text)
        (commands / "qstat").chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{commands.absolute()}:{os.environ['PATH']}")
            state = queue.states(run.links)[run.links[0]]
        # The table has no exit codes: the folder has them.
        assert (state.state, state.raw) == ("FAILED" if answer == "-f" else "ENDED", "F")


def test_ids_are_the_same_with_and_without_the_server():
    run = submitted("pbs", "exit 3")
    over(run)
    number = folders.number(run.links[0])
    assert get_queue("pbs").states([number])[number].exit_code == 3
