"""Encodings, compressions and layouts: what is stored is what was asked for, to the bit, however it was cut."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import dask.array as da
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from stores import content, files, forget, noted, spectra

import reelarray as ra
from reelarray.sinks import compression
from reelarray.sinks import files as sink_files
from reelarray.sinks.journal import OutputExists
from reelarray.sinks.levels import decibel_codes
from reelarray.sinks.rounding import mantissa_bits, round_mantissa


def power(shape, seed: int = 0, dtype: str = "f4", units: str = "Pa2 Hz-1", blocks=None) -> xr.DataArray:
    values = np.random.default_rng(seed).standard_exponential(shape).astype(dtype)
    dims = ("time", "frequency", "more")[: len(shape)]
    data = da.from_array(values, chunks=shape if blocks is None else blocks)
    return xr.DataArray(data, dims=dims, name="power", attrs={"units": units, "long_name": "power spectral density"})


def files_of(path: Path, name: str = "power") -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in (path / name).iterdir() if f.name != "zarr.json"}


# ---- levels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("reference", [1.0, 1e-12])
def test_codes_are_the_nearest_over_all_float32(step, reference):
    """Every 4099th pattern of bits: denormals, all exponents, both zeros, infinity and NaN, negative ones too."""
    patterns = np.append(np.arange(0, 2**32, 4099), [0x7F800001, 0x7FC00000, 0x80000000, 0xFFC00000])
    values = patterns.astype(np.uint32).view(np.float32)
    loudest = np.longdouble(10) ** (np.longdouble(32767.5) * step / 10) * reference
    values = values[~(values >= loudest)]  # refused, below
    codes = decibel_codes(values, reference=reference, step=step)
    assert (codes[np.isnan(values)] == -32768).all()
    assert (codes[values <= 0] == -32767).all()
    there = values > 0
    exact = np.log10(values[there].astype(np.longdouble) / np.longdouble(reference)) * (10 / np.longdouble(step))
    exact, found = np.maximum(exact, -32767), codes[there]
    assert np.abs(found - exact).max() <= 0.5 + 1e-9
    assert there.sum() > 400_000
    assert (values[there] < np.finfo("f4").tiny).sum() > 1000


def test_what_is_special_in_a_batch_changes_nothing_else():
    """Batches without anything special take a shorter way."""
    values = np.random.default_rng(0).standard_exponential(100_000).astype("f4")
    plain = decibel_codes(values, reference=1e-12)
    special = [0.0, -1.0, np.nan, 1e-45, -np.inf]
    for k, value in enumerate(special):
        values[k::20_011] = value
    mixed = decibel_codes(values, reference=1e-12)
    untouched = np.ones(len(values), bool)
    for k in range(len(special)):
        untouched[k::20_011] = False
    assert (mixed[untouched] == plain[untouched]).all()
    assert mixed[:5].tolist() == [-32767, -32767, -32768, -32767, -32767]  # 1e-45 is -328.5 dB


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loudest_is_written_and_one_step_more_is_not(dtype):
    edge = np.array([10 ** (32.767 - 1e-7), 1.0], dtype)
    assert decibel_codes(edge, reference=1.0).tolist() == [32767, 0]
    with pytest.raises(ra.RecordingError, match=r"^1 of 2 values .* above 327.67 dB"):
        decibel_codes(np.array([10**32.7676, 1.0], dtype), reference=1.0)


def test_steps_are_told_to_readers_and_to_the_journal(tmp_path):
    x = power((300, 20))
    ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16", step=0.5)
    exact = 10 * np.log10(x.values.astype("f8") / 1e-12)
    with xr.open_zarr(tmp_path / "a.zarr") as seen:
        assert np.abs(seen.power.values - exact).max() <= 0.25 + 1e-9
        assert seen.power.attrs["comment"] == "-16383.5 dB stands for a power of zero, or at or below that level"
    assert ra.open_zarr(tmp_path / "a.zarr").values.tobytes() == (decibel_codes(
        x.values, reference=1e-12, step=0.5
    ) * 0.5).tobytes()  # fmt: skip
    with pytest.raises(OutputExists, match=r"encoding: 'db16, steps of 0\.5 dB' there, 'db16' now"):
        ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16")
    assert ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16", step=0.5).done == 0


def test_the_default_step_is_the_same_store(tmp_path):
    for name, options in {"a": {}, "b": {"step": 0.01}}.items():
        ra.write_zarr(power((50, 9)), tmp_path / name, encoding="db16", **options)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_coarse_steps_are_small(tmp_path):
    sizes = {}
    for step in (0.01, 0.1, 0.5):
        ra.write_zarr(power((2000, 100)), tmp_path / str(step), encoding="db16", step=step)
        sizes[step] = sum(map(len, files_of(tmp_path / str(step)).values()))
    assert sizes[0.1] < 0.8 * sizes[0.01]
    assert sizes[0.5] < 0.6 * sizes[0.01]


# ---- rounded mantissas -----------------------------------------------------------------------------------------------


def nearest(value: float, bits: int, dtype: np.dtype) -> Fraction:
    """By exact arithmetic: of the two neighbours with so many bits the nearest, or the even one."""
    lowest = np.finfo(dtype).minexp  # of denormals the grid is that of the smallest normal ones
    exponent = max(int(np.frexp(np.array(value, dtype))[1]) - 1, lowest)
    grid = Fraction(2) ** (exponent - bits)
    return round(Fraction(value) / grid) * grid


@settings(max_examples=300, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_mantissas_are_rounded_to_the_nearest(data, dtype):
    kind = np.dtype(dtype)
    bits = data.draw(st.integers(1, mantissa_bits(kind) - 1))
    width = kind.itemsize * 8
    values = data.draw(hnp.arrays(kind, st.integers(0, 40), elements=st.floats(width=width)))
    out = values.copy()
    round_mantissa(out, bits)
    assert (np.isnan(out) == np.isnan(values)).all()
    assert (np.isinf(out) == np.isinf(values)).all()
    assert (np.signbit(out) == np.signbit(values)).all()
    again = out.copy()
    round_mantissa(again, bits)
    assert again.tobytes() == out.tobytes()
    largest = Fraction(2) ** int(np.finfo(kind).maxexp) * (1 - Fraction(1, 2 ** (bits + 1)))  # of those bits
    for before, after in zip(values.tolist(), out.tolist(), strict=True):
        if np.isfinite(before):
            wanted = nearest(before, bits, kind)
            assert after == wanted if abs(wanted) <= largest else abs(after) == largest <= abs(before)


def test_every_nan_stays_one():
    patterns = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000, 0xFF800001, 0x3F800000], np.uint32)
    values = patterns.view(np.float32).copy()
    round_mantissa(values, 10)
    assert np.isnan(values).tolist() == [True] * 5 + [False]


def test_rounding_is_that_of_numcodecs_where_values_are_ordinary():
    values = np.random.default_rng(0).standard_normal(200_000).astype("f4")
    for bits in (1, 7, 10, 22):
        out = values.copy()
        round_mantissa(out, bits)
        assert out.tobytes() == bytes(numcodecs.BitRound(bits).encode(values).view("u1"))


@pytest.mark.parametrize("bits", [3, 10])
def test_bytes_in_any_order_and_parts_of_complex_numbers_are_rounded_alike(bits):
    values = np.append(np.random.default_rng(0).standard_normal(999), [np.inf, np.nan, 3.4e38]).astype("f4")
    wanted, swapped, both = values.copy(), values.astype(">f4"), values + 1j * values[::-1]
    round_mantissa(wanted, bits)
    round_mantissa(swapped, bits)
    assert swapped.astype("f4").tobytes() == wanted.tobytes()
    both.real, both.imag = values, values[::-1]
    round_mantissa(both, bits)
    assert both.real.tobytes() == wanted.tobytes()
    assert both.imag.tobytes() == wanted[::-1].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_stores_of_rounded_values(tmp_path, dtype):
    x = power((400, 30), dtype=dtype)
    ra.write_zarr(x, tmp_path / "a.zarr", keep_bits=7)
    ra.write_zarr(x, tmp_path / "whole.zarr")
    again = ra.open_zarr(tmp_path / "a.zarr")
    assert again.dtype == dtype
    assert (np.abs(again.values - x.values) <= np.abs(x.values) * 2.0**-8).all()
    assert again.attrs["comment"] == "mantissas are rounded to 7 bits: at most 0.0039 of the value off"
    small, whole = (sum(map(len, files_of(tmp_path / name).values())) for name in ("a.zarr", "whole.zarr"))
    assert small < 0.6 * whole
    with pytest.raises(OutputExists, match="encoding: '7 bits' there, '8 bits' now"):
        ra.write_zarr(x, tmp_path / "a.zarr", keep_bits=8)


def test_rounded_to_float32_first(tmp_path):
    x = power((30, 7), dtype="float64")
    ra.write_zarr(x, tmp_path / "a.zarr", encoding="float32", keep_bits=12)
    wanted = x.values.astype("f4")
    round_mantissa(wanted, 12)
    assert ra.open_zarr(tmp_path / "a.zarr").values.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.1}, "step=0.1 belongs to encoding='db16'; encoding=None was given"),
        ({"encoding": "db16", "step": 0.001}, "step=0.001 was given; 0.01 to 1.0 dB"),
        ({"encoding": "db16", "step": "0.1"}, "step='0.1' was given"),
        ({"encoding": "db16", "step": float("nan")}, "step=nan was given"),
        ({"encoding": "db16", "keep_bits": 10}, r"keep_bits=10 belongs to floats; .*step="),
        ({"keep_bits": 23}, "1 to 22 bits of the mantissa of float32"),
        ({"keep_bits": 0}, "1 to 22 bits"),
        ({"keep_bits": 7.5}, "1 to 22 bits"),
        ({"compression": "gzip"}, "compression='gzip' was given; one of 'lz4', 'zstd', 'none' was expected"),
    ],
)
def test_what_is_not_offered_is_refused(tmp_path, options, message):
    with pytest.raises(ra.RecordingError, match=message):
        ra.write_zarr(power((8, 3)), tmp_path / "a.zarr", **options)
    assert list(tmp_path.iterdir()) == []


def test_integers_have_no_mantissa(tmp_path):
    x = xr.DataArray(np.arange(4, dtype="i2"), dims="time")
    with pytest.raises(ra.RecordingError, match="keep_bits=5 was given for int16 values"):
        ra.write_zarr(x, tmp_path / "a.zarr", keep_bits=5)
    ra.write_zarr(x, tmp_path / "a.zarr", encoding="float32", keep_bits=5)


# ---- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", compression.COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "i4", ">i4", "f4", "f8", "c8", "c16"])
def test_chunks_are_those_that_zarr_writes(tmp_path, name, dtype):
    """Whole ones, and those at both ends, which are filled up."""
    values = (np.random.default_rng(0).standard_normal((25, 11)) * 90).astype(dtype)
    x = xr.DataArray(da.from_array(values, chunks=(10, 11)), dims=("time", "channel"), name="power")
    ra.write_zarr(x, tmp_path / "a.zarr", compression=name, chunk={"time": 5, "channel": 4})
    ours = files_of(tmp_path / "a.zarr")
    assert len(ours) == 5 * 3
    array = zarr.open_group(tmp_path / "a.zarr")["power"]
    assert compression.compress_like(array) is not None
    for file in (tmp_path / "a.zarr" / "power").glob("c.*"):
        file.unlink()
    array.with_config({"write_empty_chunks": True})[...] = values
    assert files_of(tmp_path / "a.zarr") == ours


def test_tasks_write_chunks_without_the_event_loop(tmp_path, monkeypatch):
    """It is one for all threads of a process. Shards are zarr's business."""
    keys, put = [], sink_files.AtomicStore._put

    def noted(self, key, value):
        keys.append(key)
        put(self, key, value)

    monkeypatch.setattr(sink_files.AtomicStore, "_put", noted)
    ra.write_zarr(power((40, 3), blocks=(10, 3)), tmp_path / "a.zarr")
    assert [key for key in keys if key.startswith("power/c")] == []
    ra.write_zarr(power((40, 3), blocks=(10, 3)), tmp_path / "b.zarr", chunk=5, shard=10)
    assert sorted(key for key in keys if key.startswith("power/c")) == [f"power/c.{k}.0" for k in range(4)]


def test_journals_tell_the_bytes_of_each_unit(tmp_path):
    for options in ({}, {"chunk": 5}, {"chunk": 5, "shard": 10}, {"compression": "none"}):
        path = tmp_path / "a.zarr"
        report = ra.write_zarr(power((45, 3), blocks=(10, 3)), path, overwrite=True, **options)
        lines = noted(path)
        on_disk = sum(map(len, files_of(path).values()))
        assert sum(line["bytes"] for line in lines) == report.bytes == on_disk > 0
        path.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")


def test_compressions_are_what_they_say(tmp_path):
    sizes = {}
    for name in (None, "lz4", "zstd", "none"):
        path = tmp_path / str(name)
        ra.write_zarr(power((2000, 100)), path, encoding="db16", compression=name)
        codecs = json.loads((path / "power" / "zarr.json").read_text())["codecs"][1:]
        blosc = [c["configuration"] for c in codecs]
        assert [(c["cname"], c["shuffle"], c["typesize"]) for c in blosc] == (
            [] if name == "none" else [(name or "lz4", "bitshuffle", 2)]
        )
        sizes[name] = sum(map(len, files_of(path).values()))
    assert sizes["none"] == 2 * 2000 * 100
    assert sizes["zstd"] < sizes["lz4"] == sizes[None] < 0.9 * sizes["none"]
    levels = [ra.open_zarr(tmp_path / str(name)).values.tobytes() for name in sizes]
    assert len(set(levels)) == 1


@pytest.mark.parametrize("first", ["zstd", "none"])
def test_a_run_goes_on_in_the_compression_that_is_there(tmp_path, first):
    x = power((40, 3), blocks=(10, 3))
    ra.write_zarr(x, tmp_path / "whole", compression=first)
    ra.write_zarr(x, tmp_path / "cut", compression=first)
    forget(tmp_path / "cut", slice(2))
    assert ra.write_zarr(x, tmp_path / "cut", compression="lz4").done == 2
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


ENCODINGS = [{}, {"encoding": "float32"}, {"keep_bits": 9}, {"encoding": "db16"}, {"encoding": "db16", "step": 0.25}]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 9),
    chunk=st.tuples(st.integers(1, 8), st.integers(1, 9)),
    times=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    options=st.sampled_from(ENCODINGS),
    name=st.sampled_from(list(compression.COMPRESSIONS)),
    memory=st.booleans(),
)
def test_any_blocks_give_the_same_chunks(tmp_path_factory, rows, columns, chunk, times, options, name, memory):
    """Blocks of one, or of several chunks along both dimensions, or the array in memory."""
    folder = tmp_path_factory.mktemp("any")
    chunk = (chunk[0], min(chunk[1], columns))
    values = np.random.default_rng(rows).standard_exponential((rows, columns))
    values[:: max(1, rows // 3), 0] = [0.0]
    wanted = power((rows, columns)).copy(data=da.from_array(values, chunks=(chunk[0], columns)))
    sizes = {"time": chunk[0], "frequency": chunk[1]}
    ra.write_zarr(wanted, folder / "a", chunk=sizes, compression=name, **options)
    blocks = tuple(min(c * n, limit) for c, n, limit in zip(chunk, times, (rows, columns), strict=True))
    data = values if memory else da.from_array(values, chunks=blocks)
    ra.write_zarr(wanted.copy(data=data), folder / "b", chunk=sizes, compression=name, **options)
    assert files_of(folder / "a") == files_of(folder / "b")
    assert len(files_of(folder / "a")) == -(-rows // chunk[0]) * -(-columns // chunk[1])


# ---- files, and what reading takes -----------------------------------------------------------------------------------


class Counted(zarr.storage.LocalStore):
    """Keys of the chunks that were read."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.keys: list[str] = []

    async def get(self, key, prototype=None, byte_range=None):
        if "/c." in key:
            self.keys.append(key)
        return await super().get(key, prototype, byte_range)


def test_a_block_of_a_spectrogram_is_two_files_and_one_frequency_is_in_one(tmp_path):
    """8192 rows of 513 frequencies are what 4 Mi samples give."""
    x = power((16384, 513), blocks=(8192, 513))
    ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16")
    assert sorted(files_of(tmp_path / "a.zarr")) == ["c.0.0", "c.0.1", "c.1.0", "c.1.1"]
    store = Counted(tmp_path / "a.zarr", read_only=True)
    with xr.open_zarr(store, chunks=None) as seen:
        levels = seen.power[:, 100].values
    assert sorted(store.keys) == ["power/c.0.0", "power/c.1.0"]
    assert (levels == ra.open_zarr(tmp_path / "a.zarr")[:, 100].values).all()


def test_arrays_in_memory_are_cut_alike(tmp_path, monkeypatch):
    from reelarray.sinks import layout

    monkeypatch.setattr(layout, "NUMPY_BLOCK", 2**16)
    monkeypatch.setattr(layout, "LARGEST", 2**14)
    x = power((1000, 50)).compute()
    report = ra.write_zarr(x, tmp_path / "a.zarr")
    assert report.total == -(-1000 // 256)  # 256 rows of 200 bytes, a power of two below 64 KiB
    assert len(files_of(tmp_path / "a.zarr")) == 4 * 4
    assert (ra.open_zarr(tmp_path / "a.zarr").values == x.values).all()
    report = ra.write_zarr(x, tmp_path / "b.zarr", chunk=100)
    assert report.total == -(-1000 // 300)
    assert len(files_of(tmp_path / "b.zarr")) == 10
    report = ra.write_zarr(x, tmp_path / "c.zarr", shard=128, chunk={"time": 32, "frequency": 10})
    assert report.total == -(-1000 // 256)
    assert len(files_of(tmp_path / "c.zarr")) == 8


def test_blocks_of_what_is_read_count_levels_as_they_are_read(tmp_path, monkeypatch):
    from reelarray.sinks import zarr as sink

    monkeypatch.setattr(sink, "READ_BLOCK", 8 * 50 * 64)
    x = power((640, 50), blocks=(32, 50))
    for encoding, rows in ((None, 128), ("db16", 64)):
        ra.write_zarr(x, tmp_path / "a.zarr", encoding=encoding, overwrite=True)
        opened = ra.open_zarr(tmp_path / "a.zarr")
        assert opened.data.chunksize == (rows, 50)
        assert opened.data.blocks[0].compute().nbytes == 8 * 50 * 64


def test_spectra_from_files_in_every_encoding_are_read_by_plain_xarray(tmp_path):
    paths = files(tmp_path / "input")
    x = spectra(paths)
    for k, options in enumerate([*ENCODINGS, {"compression": "zstd"}, {"compression": "none", "chunk": 4}]):
        ra.write_zarr(x, tmp_path / f"{k}.zarr", **options)
        with xr.open_zarr(tmp_path / f"{k}.zarr") as seen:
            assert seen.spectrogram.values.tobytes() == ra.open_zarr(tmp_path / f"{k}.zarr").values.tobytes()
            assert (seen.time.values == x.time.values).all()
