"""Settings of clusters: layers, what is derived, what is refused, how values are written."""

from __future__ import annotations

import dask
import pytest

from reelarray.clusters import values
from reelarray.clusters.settings import KINDS, NAMES, SECTION, SHIPPED, SPECIAL, origins, settings
from reelarray.errors import SettingError

GIB = 2**30
SITE = {
    "default": "slurm",
    "slurm": {
        "base": {"queue": "normal", "log-directory": "/logs/{name}", "job-script-prologue": ["conda activate {env}"]},
        "presets": {
            "low": {"cores": 2},
            "long": {"cores": 8, "memory": "32GiB", "walltime": "3-00:00:00", "queue": "week"},
        },
    },
}


@pytest.fixture
def site():
    with dask.config.set({SECTION: SITE}):
        yield


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("REELARRAY_RUN", raising=False)
    with dask.config.set({SECTION: None}):
        yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", SHIPPED)
def test_every_shipped_preset_is_complete_for_every_kind_and_names_no_queue(kind, preset):
    made = settings(kind, preset)
    assert made.queue is None
    assert made.account is None
    assert made.cores == made.processes * made.threads
    assert made.job_memory >= made.memory + 256 * 2**20
    assert made.lifetime - made.stagger > 0
    assert made.lifetime + made.stagger + made.margin <= made.walltime


def test_nothing_configured_is_this_machine_and_all_of_it():
    from dask.system import CPU_COUNT

    made = settings()
    assert (made.kind, made.cores, made.jobs) == ("local", CPU_COUNT, 1)
    assert settings("local", "low").cores <= made.cores


def test_low_is_the_default_in_a_queue():
    assert settings("slurm") == settings("slurm", "low")
    assert settings("slurm") != settings("slurm", "medium")


@pytest.mark.usefixtures("site")
def test_base_below_preset_below_call():
    found = origins(preset="long", cores=4, environment="reel")
    assert found["cores"] == (4, "call")
    assert found["memory"] == (32 * GIB, "preset long")
    assert found["queue"] == ("week", "preset long")
    assert found["log_directory"] == ("/logs/reelarray", "base")
    assert found["death_timeout"] == (120.0, "shipped")
    assert found["job_memory"] == (int(32 * GIB * 1.1), "derived")
    assert settings(environment="reel").queue == "normal"


@pytest.mark.usefixtures("site")
def test_a_partial_preset_of_the_site_is_filled_by_the_shipped_one():
    found = origins("slurm", "low", environment="reel")
    assert found["cores"] == (2, "preset low")
    assert found["processes"] == (1, "derived")  # not the shipped one, which belongs to the shipped cores
    assert found["memory"] == (4 * GIB, "shipped")
    assert found["walltime"] == (3600, "shipped")


@pytest.mark.usefixtures("site")
def test_names_and_environments_are_filled_in():
    made = settings(name="deep", environment="reel", prologue=["conda activate {env}", "echo ${name} {name}"])
    assert made.prologue == ("conda activate reel", "echo ${name} deep")
    assert made.log_directory == "/logs/deep"
    with pytest.raises(SettingError, match="needs an environment; give environment="):
        settings()


def test_variables_of_the_environment_are_settings(monkeypatch):
    said = dask.config.collect_env({"DASK_REELARRAY__CLUSTER__SLURM__BASE__JOB_MEMORY": "6GiB"})
    with dask.config.set(said):
        assert settings("slurm").job_memory == 6 * GIB


def test_derived_values_follow_the_layer_that_says_what_they_come_from():
    with dask.config.set({SECTION: {"slurm": {"base": {"processes": 5, "cores": 5, "job-memory": "50GiB"}}}}):
        assert settings("slurm").processes == 5
        assert settings("slurm", cores=8).processes == 2
        assert settings("slurm").job_memory == 50 * GIB
        assert settings("slurm", memory="10GiB").job_memory == 11 * GIB


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (4, 1), (6, 2), (7, 7), (8, 2), (28, 7), (128, 32)])
def test_derived_processes_share_all_cores_four_at_most(cores, processes):
    assert settings("slurm", cores=cores).processes == processes


@pytest.mark.parametrize(
    ("walltime", "lifetime", "stagger"), [("00:01:00", 38, 7), ("00:10:00", 510, 30), ("12:00:00", 42750, 150)]
)
def test_lifetime_ends_before_the_walltime(walltime, lifetime, stagger):
    made = settings("slurm", walltime=walltime)
    assert (made.lifetime, made.stagger) == (lifetime, stagger)


def test_logs_of_workers_go_into_the_folder_of_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("REELARRAY_RUN", str(tmp_path / "run"))
    assert settings("slurm").log_directory == str(tmp_path / "run" / "logs" / "workers")


def test_settings_are_frozen_and_equal_by_value():
    made = settings("pbs", resource_spec="select=1", prologue=["a", "b"])
    assert made == settings("pbs", resource_spec="select=1", prologue=["a", "b"])
    assert len({made, settings("pbs", resource_spec="select=1", prologue=["a", "b"])}) == 1
    with pytest.raises(AttributeError):
        made.cores = 2  # type: ignore[misc]


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("slrum",), {}, "did you mean 'slurm'"),
        (("slurm", "mediun"), {}, "did you mean 'medium'"),
        (("slurm", None), {"cors": 3}, "the call has 'cors'.*did you mean 'cores'"),
        (("slurm",), {"resource_spec": "select=1"}, "'resource_spec', which is none of"),
        (("slurm",), {"walltime": "30:00"}, "'HH:MM:SS' or 'D-HH:MM:SS'"),
        (("slurm",), {"walltime": "2h"}, "walltime='2h'"),
        (("slurm",), {"memory": "16G"}, "16GiB.*16GB"),
        (("slurm",), {"memory": "4GiB", "job_memory": "3GiB"}, "job_memory=.* is less than memory="),
        (("slurm",), {"cores": 6, "processes": 4}, "processes=4 does not divide cores=6; 1, 2, 3, 6 would"),
        (("slurm",), {"cores": 0}, "cores=0"),
        (("slurm",), {"jobs": 2.5}, "jobs=2.5"),
        (("slurm",), {"umask": "0999"}, "umask='0999'"),
        (("slurm",), {"security": "perhaps"}, "security='perhaps'"),
        (("slurm",), {"name": "a b"}, "name='a b'"),
        (("slurm",), {"prologue": 3}, "prologue=3"),
        (("slurm",), {"queue": "a\nb"}, "one line of text"),
        (("slurm",), {"death_timeout": -1}, "death_timeout=-1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(arguments, options, says):
    with pytest.raises(SettingError, match=says):
        settings(*arguments, **options)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"slrum": {}}, "reelarray.cluster has 'slrum'.*did you mean 'slurm'"),
        ({"slurm": {"queue": "normal"}}, r"reelarray.cluster.slurm has 'queue'.*belong into slurm.base"),
        ({"slurm": {"base": {"que": "normal"}}}, "reelarray.cluster.slurm.base has 'que'.*'queue'"),
        ({"slurm": {"presets": {"high": {"core": 3}}}}, "reelarray.cluster.slurm.presets.high has 'core'"),
        ({"slurm": {"base": ["queue"]}}, "a table of names and values was expected"),
    ],
)
def test_mistakes_of_the_configuration_are_named_whatever_preset_is_asked_for(section, says):
    with dask.config.set({SECTION: section}), pytest.raises(SettingError, match=says):
        settings("slurm", "low")


def test_a_setting_error_is_a_value_error():
    with pytest.raises(ValueError):
        settings("nothing")


# ---- how values are written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:30", 30), ("01:00:00", 3600), ("2-00:00:00", 172800), ("100:00:00", 360000), (43200, 43200)],
)
def test_walltimes(text, seconds):
    assert values.walltime(text) == seconds
    assert values.walltime(values.walltime_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "30", "00:30", "1:2", "-01:00:00", "01:60:00", "0-00:00:00", 0, True, None, 1.5])
def test_walltimes_that_are_none(text):
    with pytest.raises(SettingError):
        values.walltime(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GB", 16 * 10**9),
        ("16GiB", 16 * 2**30),
        ("512 MiB", 2**29),
        ("1.5GB", 1_500_000_000),
        ("100kB", 10**5),
        (7, 7),
    ],
)
def test_sizes(text, size):
    assert values.memory(text) == size


@pytest.mark.parametrize("text", ["16G", "16", "GB", "-1GB", "0GB", "16gb", 0, False, None, 2.5])
def test_sizes_that_are_none(text):
    with pytest.raises(SettingError):
        values.memory(text)


@pytest.mark.parametrize(("said", "bits"), [("0002", 2), ("27", 0o27), (0o002, 2)])
def test_umasks(said, bits):
    assert values.umask(said) == bits


def test_yaml_without_quotes_means_the_same(tmp_path):
    """12:00:00 and 0002 are numbers to YAML."""
    path = tmp_path / "site.yaml"
    path.write_text("reelarray: {cluster: {slurm: {base: {walltime: 12:00:00, umask: 0002}}}}\n")
    (said,) = dask.config.collect_yaml(paths=[str(path)])
    with dask.config.set(said):
        made = settings("slurm")
    assert (made.walltime, made.umask) == (43200, 0o002)


def test_assignments_of_a_command_line_are_settings():
    said = values.assignments(["cores=4", "memory=2GiB", "security=true", "walltime=00:30:00", "umask=0022"])
    made = settings("slurm", **said)
    assert (made.cores, made.memory, made.security, made.walltime, made.umask) == (4, 2 * GIB, True, 1800, 0o022)
    with pytest.raises(SettingError, match="NAME=VALUE was expected"):
        values.assignments(["cores"])


def test_every_name_is_described():
    from reelarray.clusters.settings import Settings

    said = (Settings.__doc__ or "") + (settings.__doc__ or "")
    assert [name for name in NAMES if name not in said] == []
    assert set(SPECIAL) < set(KINDS)
