"""Scripts of worker jobs, and clusters that need no queue."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import warnings
from pathlib import Path

import dask
import pytest

import reelarray as ra
from reelarray.clusters import folders, start, systems, template
from reelarray.clusters.settings import KINDS, NAMES, SECTION, SHIPPED, SPECIAL, settings
from reelarray.clusters.start import check_interface
from reelarray.errors import ClusterError, SettingError

QUEUES = [kind for kind in KINDS if kind != "local"]


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with dask.config.set({SECTION: None}):
        yield


def script(kind, preset=None, **options):
    with warnings.catch_warnings(action="error"):
        return systems.worker_script(settings(kind, preset, **options))


def directives(text):
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(("#SBATCH", "#PBS"))]


@pytest.mark.parametrize(
    ("preset", "cores", "memory", "walltime"),
    [
        ("low", 1, 4506, "01:00:00"),
        ("medium", 6, 45056, "12:00:00"),
        ("high", 28, 135168, "12:00:00"),
        ("driver", 1, 4506, "24:00:00"),
    ],
)
def test_slurm_asks_for_more_than_workers_may_use(preset, cores, memory, walltime):
    text = script("slurm", preset, queue="q", account="a", log_directory="/logs/{name}", name="deep")
    assert directives(text) == [
        "-J deep",
        "-p q",
        "-A a",
        "-n 1",
        f"--cpus-per-task={cores}",
        f"--mem={memory}M",
        f"-t {walltime}",
        "-e /logs/deep/deep-%J.err",
        "-o /logs/deep/deep-%J.out",
    ]


@pytest.mark.parametrize(
    ("preset", "select", "walltime"),
    [
        ("low", "select=1:ncpus=1:mem=4506mb", "01:00:00"),
        ("medium", "select=1:ncpus=6:mem=45056mb", "12:00:00"),
        ("high", "select=1:ncpus=28:mem=135168mb", "12:00:00"),
    ],
)
def test_pbs_asks_for_more_than_workers_may_use(preset, select, walltime):
    text = script("pbs", preset, queue="q", account="a", log_directory="/logs")
    assert directives(text) == [
        "-N reelarray",
        "-q q",
        "-A a",
        f"-l {select}",
        f"-l walltime={walltime}",
        "-e /logs/",
        "-o /logs/",
    ]


@pytest.mark.parametrize("kind", QUEUES)
@pytest.mark.parametrize("preset", SHIPPED)
def test_every_system_has_its_script_and_workers_end_before_it(kind, preset):
    made = settings(kind, preset)
    text = script(kind, preset)
    assert f"--nthreads {made.threads} " in text
    assert ("--nworkers" in text) == (made.processes > 1)
    assert f"--lifetime {made.lifetime}s --lifetime-stagger {made.stagger}s --no-lifetime-restart" in text
    assert "--death-timeout 120.0" in text
    assert "MALLOC_TRIM_THRESHOLD_=67108864" in text
    assert made.log_directory in text
    assert not os.path.exists(made.log_directory)  # looking makes nothing


def test_every_process_has_its_share_of_memory():
    assert "--memory-limit 5.00GiB --nworkers 2" in script("slurm", cores=4, processes=2, memory="10GiB")


def test_lines_come_in_their_order_and_failing_ones_end_the_job():
    text = script("slurm", umask="0027", prologue=["module load conda", "conda activate {env}"], environment="reel")
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines[first] == "umask 0027"
    at = lines.index("set -e")
    assert lines[at : at + 4] == ["set -e", "module load conda", "conda activate reel", "set +e"]
    assert "distributed.cli.dask_worker" in lines[at + 4]
    assert "export OMP_NUM_THREADS=1" in lines[:at]  # a site may say otherwise after it


@pytest.mark.parametrize("line", ["source /site/env.sh", "false", "conda activate nothing"])
def test_a_prologue_that_fails_starts_no_worker(line, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho started\n")
    python.chmod(0o755)
    for prologue, code in (([line], False), ([f"{line} || true"], True)):
        text = script("slurm", prologue=prologue, python=str(python))
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        assert (done.returncode == 0, "started" in done.stdout) == (code, code)


@pytest.mark.parametrize(
    ("folder", "slurm", "pbs"),
    [
        ("/my logs/a", '"/my logs/a/b-%J.err"', '"/my logs/a/"'),
        ("/it's", '"/it\'s/b-%J.err"', '"/it\'s/"'),
        ("/50%x", "/50%%x/b-%J.err", "/50%x/"),
        ("/meßwerte", "/meßwerte/b-%J.err", "/meßwerte/"),
    ],
)
def test_logs_may_be_in_folders_of_any_name(folder, slurm, pbs):
    for kind, expected in (("slurm", slurm), ("pbs", pbs)):
        lines = directives(script(kind, log_directory=folder, name="b"))
        assert [line for line in lines if line.startswith("-e")] == [f"-e {expected}"]
        assert [line for line in lines if line.startswith("-o")] == [f"-o {expected.replace('.err', '.out')}"]
        assert not [line for line in directives(script(kind, skip_directives=["-o ", "-e "])) if line[:2] in "-o-e"]


@pytest.mark.parametrize("name", ["log_directory", "run_directory"])
@pytest.mark.parametrize("folder", ['/my "logs"', "/my\\logs"])
def test_names_of_folders_that_no_queue_takes(name, folder):
    with pytest.raises(SettingError, match=f"{name}=.*which no queue takes"):
        settings("slurm", **{name: folder})


def test_directives_are_left_out_and_added():
    text = script("slurm", skip_directives=["--mem", "--cpus-per-task"], extra_directives=["--qos=long"])
    assert not [line for line in directives(text) if "--mem" in line or "--cpus" in line]
    assert directives(text)[-1] == "--qos=long"


def test_local_storage_is_that_of_the_node():
    assert '--local-directory "${TMPDIR:-/tmp}"' in script("slurm")
    assert '--local-directory "$SCRATCH/x y"' in script("slurm", local_directory="$SCRATCH/x y")


def test_keywords_of_one_system_reach_its_class():
    assert "#PBS -l nodes=1:ppn=4,mem=8gb" in script("pbs", resource_spec="nodes=1:ppn=4,mem=8gb")
    assert "RequestDisk" in script("htcondor", disk="3GB", extra_directives=["MaxRuntime = 3600"])
    assert "MaxRuntime = 3600" in script("htcondor", extra_directives=["MaxRuntime = 3600"])
    assert "#BSUB -W 12:00\n" in script("lsf", "medium", lsf_units="mb")
    assert "#BSUB -M 47245" in script("lsf", "medium", lsf_units="mb")


@pytest.mark.parametrize("kind", QUEUES)
def test_dask_jobqueue_takes_all_that_is_said(kind):
    """Of the installed release: every keyword of ours is a parameter of its job class."""
    job_class = systems.cluster_class(kind).job_cls
    known = {name for one in job_class.__mro__[:-1] for name in inspect.signature(one.__init__).parameters}
    given = {*systems.keywords(settings(kind)), *SPECIAL.get(kind, ())}
    assert given - known == set()


def test_submits_do_not_see_the_job_that_they_are_made_in(monkeypatch):
    for name in ("SLURM_MEM_PER_NODE", "SLURM_JOB_ID", "SLURM_CONF", "SBATCH_ACCOUNT", "REELARRAY_DEADLINE"):
        monkeypatch.setenv(name, "1")
    seen = systems.environment()
    assert {"SLURM_CONF", "SBATCH_ACCOUNT", "PATH"} <= set(seen)
    assert not {"SLURM_MEM_PER_NODE", "SLURM_JOB_ID", "REELARRAY_DEADLINE"} & set(seen)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert "SLURM_MEM_PER_NODE" in systems.environment()  # set by a user for the jobs


def test_the_queue_speaks_for_itself():
    error = RuntimeError(
        "Command exited with non-zero exit code.\nExit code: 1\nCommand:\nsbatch x\nstdout:\n\nstderr:\nno\nqueue\n"
    )
    assert systems._said(error) == "no queue"
    assert systems._said(ValueError("what is this")) == "what is this"


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_a_machine_without_the_queue_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"bsub was not found on PATH.*kind='local'"):
        ra.cluster("lsf", log_directory=str(tmp_path / "logs"))
    assert not (tmp_path / "logs").exists()


def test_an_unknown_interface_is_named_with_the_known_ones():
    check_interface(None)
    check_interface("lo")
    for options in ({"interface": "ib7"}, {"interface": "lo", "scheduler_interface": "ib7"}):
        with pytest.raises(SettingError, match=r"'ib7' is none of this machine's: .*lo"):
            ra.cluster("slurm", **options)


def test_a_missing_package_for_security_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(ra.MissingPackage, match="cryptography"):
        systems.security(settings("slurm", security=True))
    assert systems.security(settings("slurm")) is None


# ---- a queue that is told what to answer -----------------------------------------------------------------------------


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """Commands that note how they are called; sbatch refuses in the words of each line of the file `refusals`."""
    commands = tmp_path / "bin"
    commands.mkdir()
    refusing = (
        "if [ -s refusals ]; then head -n 1 refusals >&2; sed -i 1d refusals; exit 1; fi; echo Submitted batch job 7"
    )
    for name, line in {"sbatch": refusing, "scancel": "", "squeue": "", "sacct": ""}.items():
        path = commands / name
        path.write_text(f'#!/bin/bash\ncd {tmp_path}\necho {name} "$@" >>calls\n{line}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(start, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("REELARRAY_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("REELARRAY_LINK", "2")
    (tmp_path / "run").mkdir()
    return tmp_path


def started(slurm, *refusals):
    """The commands that were called, by a cluster of one job that is closed at once."""
    (slurm / "refusals").write_text("".join(f"sbatch: error: {words}\n" for words in refusals))
    with ra.cluster("slurm", interface="lo", log_directory=str(slurm / "logs")):
        pass
    return called(slurm)


def called(slurm):
    calls = (slurm / "calls").read_text().splitlines()
    (slurm / "calls").unlink()
    return [re.sub(r" /.*", "", line) for line in calls if not line.startswith(("squeue", "sacct"))]


BUSY = "Batch job submission failed: Socket timed out on send/recv operation"


def test_a_busy_queue_is_asked_again_where_nobody_watches(slurm, monkeypatch):
    assert started(slurm, BUSY, "Slurm temporarily unable to accept job") == ["sbatch"] * 3 + ["scancel 7"]
    with pytest.raises(ClusterError, match=r"refused a worker job: .*Socket timed out"):
        started(slurm, *[BUSY] * 3)
    assert called(slurm) == ["sbatch"] * 3
    monkeypatch.delenv("REELARRAY_RUN")
    with pytest.raises(ClusterError, match="Socket timed out"):
        started(slurm, BUSY)
    assert called(slurm) == ["sbatch"]


def test_a_refusal_stays_one(slurm):
    with pytest.raises(ClusterError, match="Requested time limit is invalid"):
        started(slurm, "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)")
    assert called(slurm) == ["sbatch"]


def test_worker_jobs_are_noted_and_those_of_earlier_links_cancelled_first(slurm):
    notes = slurm / "run" / folders.WORKERS
    notes.write_text("slurm 3 1\nslurm 4 1\nslurm 5 2\nslurm 6\n")  # the last line was cut short
    assert started(slurm) == ["scancel 3 4", "sbatch", "scancel 7"]
    assert folders.worker_jobs(slurm / "run") == {"slurm": ["3", "4", "5", "7"]}


def test_earlier_worker_jobs_that_cannot_be_cancelled_stop_nothing(slurm):
    (slurm / "run" / folders.WORKERS).write_text("slurm 3 1\n")
    (slurm / "bin" / "scancel").write_text("#!/bin/bash\necho no contact >&2\nexit 1\n")
    with ra.cluster("slurm", interface="lo", log_directory=str(slurm / "logs")) as cluster:
        assert "worker jobs of earlier links may still be in the queue" in cluster.watch.messages()[0]
        assert cluster.watch.job_ids() == ["7"]


# ---- this machine ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("own_umask")
def test_this_machine_is_a_cluster_too():
    def told():
        names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "OMP_NUM_THREADS")
        mask = os.umask(0)
        os.umask(mask)
        return mask, [os.environ.get(name) for name in names]

    with ra.cluster(cores=2, processes=2, memory="1GiB", umask="0027") as cluster:
        client = cluster.get_client()
        assert set(map(str, client.run(told).values())) == {"(23, ['67108864', '33554432', '1'])"}
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [(one["nthreads"], one["memory_limit"]) for one in workers] == [(1, 2**29)] * 2
        assert re.fullmatch(r"http://.*:\d+/status", cluster.dashboard_link)
        assert cluster.settings.kind == "local"
        cluster.watch.check()
        assert cluster.watch.messages() == []
        client.close()


def test_credentials_are_made_for_one_cluster():
    pytest.importorskip("cryptography")
    with ra.cluster("local", cores=1, memory="1GiB", security=True) as cluster, cluster.get_client() as client:
        assert cluster.scheduler_address.startswith("tls://")
        assert client.submit(sum, [1, 2]).result() == 3


# ---- files of settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_written_file_is_valid_and_says_what_is_shipped(kind, tmp_path):
    path = template.write_template(kind, tmp_path / "deep" / "site.yaml")
    (said,) = dask.config.collect_yaml(paths=[str(path)])
    for preset in ("low", "medium", "high"):
        expected = settings(kind, preset)
        with dask.config.set(said):
            assert settings(preset=preset) == expected  # the file makes its kind the default one


def test_comments_of_the_written_file_are_valid_settings_too(tmp_path):
    """Every line that is there to be uncommented can be."""
    path = tmp_path / "site.yaml"
    path.write_text(re.sub(r"(?m)^(        )# (?=[a-z ]+[a-z-]*:|  - )", r"\1", template.template("slurm")))
    assert "\n        queue: normal" in path.read_text()
    template.check_file(path)
    (said,) = dask.config.collect_yaml(paths=[str(path)])
    with dask.config.set(said):
        made = settings()
    assert made.prologue == ("source /site/env.sh", "conda activate reel")
    assert (made.umask, made.security, made.scheduler_interface) == (0o002, True, "eth0")
    assert (made.extra_directives, made.skip_directives) == (("--qos=long",), ("--mem",))


def test_a_file_is_not_replaced_unless_told(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("mine")
    with pytest.raises(SettingError, match="is there already; pass force=True"):
        template.write_template("pbs", path)
    assert path.read_text() == "mine"
    template.write_template("pbs", path, force=True)
    assert "pbs:" in path.read_text()


def test_the_default_place_is_where_dask_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(dask.config, "PATH", str(tmp_path / "dask"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert template.write_template() == tmp_path / "dask" / "reelarray.yaml"
    assert "default: local" in (tmp_path / "dask" / "reelarray.yaml").read_text()


# ---- reel cluster ----------------------------------------------------------------------------------------------------


def reel(*words):
    from reelarray.cli import main

    return main(["cluster", *words])


def test_show_prints_the_script_and_where_each_setting_comes_from(capsys, tmp_path):
    site = {"slurm": {"base": {"queue": "normal"}, "presets": {"medium": {"walltime": "02:00:00"}}}}
    logs = tmp_path / "logs"
    with dask.config.set({SECTION: site}):
        code = reel(
            "show", "slurm", "--preset", "medium", "--jobs", "3", "--set", "cores=4", "--set", f"log-directory={logs}"
        )
    said = capsys.readouterr().out
    assert code == 0
    rows = {line[:20].strip(): line[20:].split() for line in said.split("\n\n")[0].splitlines()}
    assert rows["cores"] == ["4", "call"]
    assert rows["jobs"] == ["3", "call"]
    assert rows["queue"] == ["normal", "base"]
    assert rows["walltime"] == ["02:00:00", "preset", "medium"]
    assert rows["memory"] == ["40GiB", "shipped"]
    assert rows["processes"] == ["1", "derived"]
    assert "#SBATCH -p normal" in said
    assert "#SBATCH -t 02:00:00" in said
    assert not logs.exists()


def test_show_of_this_machine_has_no_script(capsys):
    assert reel("show") == 0
    assert "job script" not in capsys.readouterr().out


def test_init_writes_once(capsys, tmp_path):
    path = tmp_path / "site.yaml"
    assert reel("init", "--kind", "pbs", str(path)) == 0
    assert reel("init", "--kind", "slurm", str(path)) == 2
    assert "pass --force" in capsys.readouterr().err
    assert reel("init", "--kind", "slurm", "--force", str(path)) == 0
    assert "slurm:" in path.read_text()


@pytest.mark.parametrize("words", [("show", "slrum"), ("show", "slurm", "--set", "cors=1"), ("init", "--kind", "no")])
def test_mistakes_end_with_two(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reel(*words) == 2
    assert "none of" in capsys.readouterr().err


# ---- docs/clusters.md ------------------------------------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[3] / "docs" / "clusters.md").read_text(encoding="utf-8")


def test_the_example_of_the_documentation_is_valid(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "site.yaml"
    path.write_text(example)
    template.check_file(path)
    (said,) = dask.config.collect_yaml(paths=[str(path)])
    with dask.config.set(said):
        made = settings(preset="medium")
    assert (made.kind, made.queue, made.cores, made.processes) == ("slurm", "normal", 6, 3)
    assert made.prologue[-1] == "conda activate reel"


def test_the_documentation_has_every_setting():
    rows = [line.split("|")[1] for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(NAMES)
    for kind, names in SPECIAL.items():
        assert [name for name in names if name not in DOCUMENT and kind != "htcondor"] == []
