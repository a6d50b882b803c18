"""What an array is: the same for the same files and parameters, in any chunks, folder and process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from stores import files, recorded, spectra

import reelarray as ra
from reelarray import graph
from reelarray.sinks.files import AtomicStore
from reelarray.sinks.journal import OutputExists
from reelarray.sinks.provenance import changed_inputs, differences, fingerprint, identity, is_known


@pytest.fixture
def paths(tmp_path):
    return files(tmp_path / "input")


def known(x, encoding=None):
    return identity(x, str(x.name), x.dtype, encoding)[0]


def test_tables_are_found_through_whatever_was_done_since(paths):
    x = recorded(paths)
    for made in (
        x,
        x[100:5000],
        spectra(paths),
        np.sqrt(spectra(paths) * 2).chunk(time=5)[3:40],
        ra.average(spectra(paths), every="1s"),
    ):
        (table, *more) = graph.sources(made.data)
        assert not more
        assert list(table.path) == [str(p) for p in paths]
    assert graph.sources(da.ones(3)) == []
    assert graph.sources(x.compute().data) == []
    assert graph.sources(xr.DataArray(spectra(paths).data.persist()).data) == []


def test_chunks_and_folders_do_not_count(paths, tmp_path):
    one = fingerprint(known(spectra(paths)))
    assert fingerprint(known(ra.spectrogram(recorded(paths, chunk=77), nfft=64, hop=32, block=5))) == one
    shutil.copytree(tmp_path / "input", tmp_path / "elsewhere" / "deep")
    for path in (tmp_path / "elsewhere" / "deep").iterdir():
        os.utime(path, ns=(0, paths[0].stat().st_mtime_ns))
    moved = [tmp_path / "elsewhere" / "deep" / p.name for p in paths]
    assert fingerprint(known(spectra(moved))) == one


def test_another_process_agrees(paths):
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from stores import spectra\n"
        "from reelarray.sinks.provenance import fingerprint, identity\n"
        f"x = spectra([Path(p) for p in {[str(p) for p in paths]!r}])\n"
        "print(fingerprint(identity(x, 'spectrogram', x.dtype, None)[0]))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == fingerprint(known(spectra(paths)))


def test_what_counts(paths, tmp_path):
    def of(**options):
        return known(spectra(paths, **options))

    base = of()
    assert differences(base, of()) == []
    assert differences(base, known(spectra(paths), "db16")) == ["encoding: None there, 'db16' now"]
    bandwidth, window = differences(base, of(window="hamming"))  # the first follows from the second
    assert bandwidth.startswith("noise_bandwidth: ")
    assert window == "window: 'hann' there, 'hamming' now"
    gained = ra.spectrogram(recorded(paths) * 1.0, nfft=64, hop=32)
    assert differences(base, known(gained)) == ["steps: ['spectrogram'] there, ['mul', 'spectrogram'] now"]
    louder = ra.spectrogram(recorded(paths) * 2.0, nfft=64, hop=32)
    assert differences(known(louder), known(gained)) == []  # the caller's own constants show nowhere
    x = recorded(paths)
    table = graph.rows(x.data).gained(2.0)
    louder = x.copy(data=graph.read_array(table, 1500))
    assert differences(base, known(ra.spectrogram(louder, nfft=64, hop=32))) == ["inputs differ"]
    later = x.assign_coords(place="pier")
    assert any("place" in d for d in differences(base, known(ra.spectrogram(later, nfft=64, hop=32))))
    shorter = differences(base, known(ra.spectrogram(x[:8000], nfft=64, hop=32)))
    assert {d.partition(":")[0] for d in shorter} == {
        "inputs differ",
        "shape",
        "time clock differ",
        "time from_to",
        "time rows",
    }


COMPUTED = {
    "as they are": (lambda x: x, []),
    "a part": (lambda x: ra.spectrogram(x, nfft=64)[5:50], ["spectrogram"]),
    "arithmetic": (lambda x: np.sqrt(abs(x) * 2), ["abs", "mul", "sqrt"]),
    "of one array twice": (lambda x: x.where(x > 0), ["gt", "where"]),
    "in order": (lambda x: np.sin(x) - np.cos(x), ["sin", "cos", "sub"]),
    "in another order": (lambda x: np.cos(x) - np.sin(x), ["cos", "sin", "sub"]),
    "a transform": (lambda x: ra.spectrogram(x, nfft=700), ["spectrogram"]),
    "a transform of arithmetic": (lambda x: ra.spectrogram(x + 1, nfft=700), ["add", "spectrogram"]),
    "normalized": (lambda x: ra.normalize(x), None),
    "a mean": (lambda x: x.mean("time"), None),
}


@pytest.mark.parametrize("case", COMPUTED)
def test_steps_count_and_chunks_do_not(paths, case):
    make, steps = COMPUTED[case]
    made = known(make(recorded(paths)))
    if steps is not None:
        assert made["steps"] == steps
    assert differences(made, known(make(recorded(paths)))) == []
    for chunked in (recorded(paths, chunk=77), recorded(paths).chunk(time=60), recorded(paths).chunk(time=-1)):
        assert differences(made, known(make(chunked))) == []
        assert differences(made, known(make(chunked).chunk(time=50) if "time" in made["dims"] else make(chunked))) == []
    assert fingerprint(made) != fingerprint(known(make(recorded(paths)) * 2))


def test_arithmetic_does_not_pass_for_what_is_there(paths, tmp_path):
    s = spectra(paths)
    ra.write_zarr(s, tmp_path / "s.zarr", name="s")
    with pytest.raises(OutputExists, match="steps"):
        ra.write_zarr(s * 2, tmp_path / "s.zarr", name="s")


def test_changed_inputs_are_named():
    a = [["x/a.wav", 10, 1, 0, 5], ["x/b.wav", 10, 1, 0, 5]]
    assert changed_inputs(a, a) is None
    assert changed_inputs(a, [a[0], ["x/b.wav", 12, 1, 0, 5]]) == "x/b.wav: bytes 10 there, 12 now"
    assert changed_inputs(a, [a[0], ["x/c.wav", 10, 1, 0, 5]]) == "x/b.wav there, x/c.wav now"
    assert changed_inputs(a, a[:1]) == "2 ranges of files there, 1 now"


def test_values_are_known_in_memory_and_vouched_for_elsewhere():
    here, there = xr.DataArray(np.ones(3), dims="time"), xr.DataArray(da.ones(3), dims="time", name=None)
    assert is_known(known(here))
    assert not is_known(known(there))
    assert known(here) != known(here * 2)


def test_a_straggler_of_an_ended_run_cannot_write(tmp_path):
    import zarr

    temporary = tmp_path / "run-1"
    temporary.mkdir()
    keys = {"name": "default", "separator": "."}
    store = AtomicStore(tmp_path / "s", temporary=temporary)
    array = zarr.create_array(store, shape=(4,), chunks=(2,), dtype="i4", chunk_key_encoding=keys)
    array[:2] = 1
    temporary.rename(tmp_path / "dead-1")
    with pytest.raises(FileNotFoundError):
        array[2:] = 2
    assert sorted(f.name for f in (tmp_path / "s").rglob("*") if f.is_file()) == ["c.0", "zarr.json"]
