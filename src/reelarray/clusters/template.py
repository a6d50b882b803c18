"""A commented file of settings to start from, which is valid as it is written."""

from __future__ import annotations

import os
from pathlib import Path

import dask

from ..errors import SettingError
from .settings import KINDS, SHIPPED, settings
from .systems import cluster_class

_HEAD = """\
# Clusters for reelarray: one section of Dask's configuration, read from this folder at every start.
# What is said later wins: presets that reelarray ships < base < presets here < arguments of the call.
# `reel cluster show {kind}` prints the job script that follows from it, and where each setting comes from.
# The same can be said in variables: DASK_REELARRAY__CLUSTER__{KIND}__BASE__QUEUE=normal
reelarray:
  cluster:
    default: {kind}            # what ra.cluster() and --cluster use where nothing is said; without it: local
"""
_QUEUE = """\
    {kind}:
      base:                    # for all presets; take away the # before what your site needs
        # queue: normal        # its name here; without it, the queue's own default
        # account: project     # who is charged
        # interface: ib0       # network of workers and scheduler; `ip -brief address` lists them
        # scheduler-interface: eth0   # where the machine that starts clusters has another
        # log-directory: ~/logs/{{name}}   # on a file system that all nodes share
        # local-directory: $TMPDIR   # of the node: workers put there what their memory does not hold
        # prologue:            # shell lines before the worker; one that fails ends the job
        #   - source /site/env.sh
        #   - conda activate {{env}}
        # environment: reel    # fills {{env}}
        # umask: "0002"        # in quotes; new files may then be changed by the group
        # extra-directives: ["--qos=long"]
        # skip-directives: ["--mem"]   # for sites that refuse a directive
        # security: true       # TLS between scheduler, workers and client (pip install reelarray[secure])
        death-timeout: 120     # seconds after which a worker without a scheduler ends
        watch-interval: 30     # seconds between two questions to the queue about all jobs
        patience: 1800         # seconds that jobs may wait for the first worker
      presets:                 # memory: GiB is 2**30 bytes, GB is 10**9; the queue is asked for 10 % more
{presets}\
"""
_LOCAL = """\
    local:
      base: {}
      # presets:               # without these: a quarter, half, all of this machine
      #   low: {cores: 2, processes: 1, memory: 8GiB}
"""
_SPECIAL = {"htcondor": "        # disk: 10GiB          # of one job\n"}


def template(kind: str) -> str:
    """The text of a file of settings for one kind of cluster."""
    if kind not in KINDS:
        raise SettingError(f"kind={kind!r} is none of {', '.join(KINDS)}")
    head = _HEAD.format(kind=kind, KIND=kind.upper())
    if kind == "local":
        return head + _LOCAL
    width = max(map(len, SHIPPED)) + 1
    rows = [
        f"        {name + ':':{width}} {{jobs: 1, "
        + ", ".join(f'{key}: "{value}"' if key == "walltime" else f"{key}: {value}" for key, value in preset.items())
        + "}\n"
        for name, preset in SHIPPED.items()
    ]
    return head + _QUEUE.format(kind=kind, presets="".join(rows)).replace(
        "        death-timeout", _SPECIAL.get(kind, "") + "        death-timeout"
    )


def find_kind() -> str:
    """The kind whose submit command is on PATH, else "local"; where two share one, the more common comes first."""
    import shutil

    commands = ((kind, cluster_class(kind).job_cls.submit_command) for kind in KINDS if kind != "local")
    return next((kind for kind, command in commands if shutil.which(command)), "local")


def write_template(kind: str | None = None, path: str | os.PathLike[str] | None = None, *, force: bool = False) -> Path:
    """Write a commented file of settings, which loads and is valid as it is; returns where.

    Parameters
    ----------
    kind : of cluster; None takes the one whose submit command is there
    path : of the file; None is ``reelarray.yaml`` in Dask's folder of configuration, where it is read at every start
    force : replace a file of this name

    Raises
    ------
    SettingError : there is such a file already, or it cannot be written
    """
    text = template(kind or find_kind())
    target = Path(path) if path is not None else Path(dask.config.PATH) / "reelarray.yaml"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingError(f"{target} is there already; pass force=True to replace it, or name another file") from None
    except OSError as error:
        raise SettingError(f"{target} cannot be written: {error}; name another file") from error
    check_file(target)
    return target


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise `SettingError` if what a file says of clusters cannot be used; what else is configured does not count."""
    (said,) = dask.config.collect_yaml(paths=[os.fspath(path)]) or [{}]
    with dask.config.set({"reelarray.cluster": None}), dask.config.set(said):
        section = dask.config.get("reelarray.cluster") or {}
        for kind in section:
            if kind != "default":
                for preset in SHIPPED | ((section[kind] or {}).get("presets") or {}):
                    settings(kind, preset)
