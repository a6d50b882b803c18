"""Names of recorders: each is read as the committed table says, or has no time; two readings are an error."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelarray.catalog import readings, recorders
from reelarray.catalog.names import file_name
from reelarray.catalog.recorders import RULES, _possible, recognise, rules_of
from reelarray.catalog.zones import iso, localise, parse_zone
from reelarray.errors import ClockError

TABLE = Path(__file__).with_name("recorder_names.csv")
with TABLE.open(encoding="utf-8", newline="") as file:
    ROWS = [(row["name"], row["timezone"], row["utc"]) for row in csv.DictReader(file)]


def utc(name: str, timezone: str = "UTC", recorder: str | None = None) -> str:
    [reading] = recognise([name], recorder)
    if reading.wall is None:
        return "no time"
    zone = parse_zone(timezone) if reading.offset is None else dt.timezone(dt.timedelta(seconds=reading.offset))
    return iso(localise(reading.wall, zone))


@pytest.mark.parametrize(("name", "timezone", "expected"), ROWS, ids=[file_name(row[0]) for row in ROWS])
def test_a_name_is_read_as_the_table_says(name, timezone, expected):
    assert utc(name, timezone) == expected


def test_the_table_has_every_name_of_the_shared_list(shared):
    names = (shared / "data" / "recorder_filenames.txt").read_text(encoding="utf-8").splitlines()
    assert {name for name in names if name} <= {name for name, _, _ in ROWS}


def test_the_table_has_names_of_every_rule():
    used = {reading.by for reading in recognise([name for name, _, _ in ROWS])}
    assert {rule.name for rule in RULES} <= used


@pytest.mark.parametrize("name", ["20220103_183000_20220103_190000.wav", "120101101112_20220103_183000.wav"])
def test_two_readings_are_an_error_that_shows_both(name):
    with pytest.raises(ClockError) as error:
        recognise(["a_20220103_183000.wav", name])
    text = str(error.value)
    assert name in text
    assert "2022-01-03T18:30:00" in text
    assert " or " in text
    assert "timestamp=" in text
    assert "recorder=" in text
    assert recognise([name], strict=False)[0].wall is None


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("_500000", "2022-03-01T00:00:00.5Z"),
        ("_500000001", "2022-03-01T00:00:00.500000001Z"),
        ("_000000001", "2022-03-01T00:00:00.000000001Z"),
        ("_25", "2022-03-01T00:00:00.25Z"),
        ("_5000000010", "no time"),
        ("", "2022-02-28T23:00:00Z"),
    ],
)
def test_names_of_our_own_export_are_utc_to_the_nanosecond(digits, expected):
    """Without decimals the name may be anybody's, and is in the zone that was given."""
    assert utc(f"2022_03_01_00_00_00{digits}.flac", "Europe/Paris") == expected
    assert utc(f"site_2022_03_01_00_00_00{digits}.flac", "+01:00", "osekit") == expected


def test_a_date_written_twice_is_no_ambiguity():
    assert utc("20220103_183000_220103_183000.wav") == "2022-01-03T18:30:00Z"


def test_digits_that_are_no_date_beside_a_date_do_not_count():
    assert utc("123456789012_20220103_183000.wav") == "2022-01-03T18:30:00Z"


def test_impossible_dates_are_flagged_with_what_was_read():
    [reading] = recognise(["x_20220230_120000.wav"])
    assert reading.wall is None
    assert reading.problem.startswith("impossible_date: '20220230_120000'")


def test_hexadecimal_digits_alone_are_read_only_beside_names_with_letters():
    assert recognise(["58312345.WAV"])[0].wall is None
    both = recognise(["58312345.WAV", "5B1F2A3C.WAV"])
    assert [iso(reading.wall) for reading in both] == ["2016-11-20T04:15:01Z", "2018-06-12T02:04:44Z"]


def test_a_recorder_restricts_the_patterns():
    assert utc("101112_20200131.wav", recorder="uAural") == "2020-01-31T10:11:12Z"
    assert utc("101112_20200131.wav", recorder="soundtrap") == "no time"
    with pytest.raises(ClockError, match=r"did you mean 'soundtrap'.*audiomoth"):
        rules_of("soundtrapp")


def test_folders_are_never_read():
    assert utc("20220103_183000/hello.wav") == "no time"
    assert utc("C:\\20220103_183000\\hello.wav") == "no time"


def test_the_shape_of_a_name_drops_no_rule_that_reads_it():
    for name, _, _ in ROWS:
        stem = file_name(name).rpartition(".")[0]
        shape = "".join("0" if letter.isdigit() else letter for letter in stem)
        assert {rule.name for rule in RULES if rule.regex.search(stem)} <= {
            rule.name for rule in _possible(shape, None)
        }


letters = st.sampled_from([file_name(name) for name, _, _ in ROWS] + ["a20220103T183000+0200.wav", "5B1F2A3C.WAV"])
moments = st.datetimes(dt.datetime(1890, 1, 1), dt.datetime(2110, 1, 1))


@given(letters, st.lists(moments, min_size=12, max_size=12), st.randoms(use_true_random=False))
def test_names_that_are_alike_are_read_together_as_they_are_one_by_one(name, times, random):
    """Digits of a name are replaced, half of them by true times, the others by anything."""
    names = []
    for number, time in enumerate(times):
        digits = iter(f"{time:%Y%m%d%H%M%S}") if number % 2 else None
        names.append(
            "".join(
                next(digits, "0") if digits and c.isdigit() else str(random.randrange(10)) if c.isdigit() else c
                for c in name
            )
        )
    together = recognise(names, strict=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readings, "FEW", 100)
        assert together == recognise(names, strict=False)


def test_many_names_of_one_recorder_are_read_in_columns(monkeypatch):
    monkeypatch.setattr(recorders, "_readings", lambda *_: pytest.fail("read one by one"))
    for template in (
        "site_%Y%m%d_%H%M%S.wav",
        "5146.%y%m%d%H%M%S.wav",
        "%Y%m%dT%H%M%SZ.flac",
        "x_%Y-%m-%d_%H-%M-%S.wav",
    ):
        times = [dt.datetime(2022, 3, 1) + dt.timedelta(seconds=61 * k) for k in range(2000)]
        found = recognise([f"/a/{time.strftime(template)}" for time in times])
        assert [iso(each.wall) for each in found] == [f"{time.isoformat()}Z" for time in times]
