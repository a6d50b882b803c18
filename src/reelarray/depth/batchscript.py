"""A script of one Slurm job a recording, for those who submit such scripts by hand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..clusters.values import mebibytes, memory, walltime, walltime_text
from ..errors import SettingError
from ..sinks.atomic import check_folder, writing
from .batchplan import BatchPlan, Unit
from .crew import prologue

SHEBANG = "#!/bin/bash"


def write_script(
    path: str | os.PathLike[str], plan: BatchPlan, units: Sequence[Unit], *, words: Sequence[str] = ()
) -> Path:
    """Write a script with a line for each recording that submits a job of its own; nothing is run.

    Names and options are quoted twice, for the shell of the script and for that of the job. `partition`, `ncpus`,
    `memory`, `wall_time` and `prefix` are those of the options.

    Parameters
    ----------
    path : of the script; one that is there is replaced
    plan : of the recordings
    units : those that get a job
    words : options of `reel depth extract` that each job gets, such as ["--config", "config.yaml"]

    Raises
    ------
    SettingError : a size of memory or a time that cannot be, a partition of several lines
    """
    path = Path(path).absolute()
    check_folder(path)
    lines = [SHEBANG, f"# {len(units)} recordings, a job each: `bash {path.name}` submits them."]
    lines += [sbatch_line(plan.said, unit.path, words) for unit in units]
    with writing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
        temporary.chmod(0o755)
    return path


def sbatch_line(options: Mapping[str, Any], recording: Path, words: Sequence[str] = ()) -> str:
    """The line that submits the job of one recording.

    >>> how = {"partition": "short", "memory": "5GB", "prefix": "module load moseq"}
    >>> print(sbatch_line(how, Path("/data/mouse 1/depth.dat")).replace(" --", "\\n--"))
    sbatch --cpus-per-task=1
    --mem=4769M
    --partition=short
    --time=03:00:00
    '--job-name=depth-mouse 1'
    --wrap 'module load moseq && reel depth extract '"'"'/data/mouse 1/depth.dat'"'"''
    """
    said = [f"--cpus-per-task={int(options.get('ncpus') or 1)}"]
    said.append(f"--mem={mebibytes(memory(options.get('memory') or '5GB'))}M")
    if options.get("partition"):
        partition = str(options["partition"])
        if "\n" in partition:
            raise SettingError(f"partition={partition!r} was given; one line of text was expected")
        said.append(f"--partition={partition}")
    said.append(f"--time={walltime_text(walltime(options.get('wall_time') or '3:00:00'))}")
    said.append(f"--job-name=depth-{recording.parent.name}")
    before = prologue(str(options.get("prefix") or ""))
    program = ["reel"] if before else [sys.executable, "-m", "reelarray.cli"]  # a prefix chooses an environment
    inside = shlex.join([*program, "depth", "extract", str(recording), *words])
    return f"sbatch {shlex.join(said)} --wrap {shlex.quote(' && '.join([*before, inside]))}"
