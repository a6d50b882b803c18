"""Templates and offsets: what strftime writes is read back to the nanosecond, and nothing else is read."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelarray.catalog.names import compile_template, read_names, read_offsets, read_template
from reelarray.catalog.zones import iso
from reelarray.errors import ClockError

TEMPLATES = [
    "%Y%m%d_%H%M%S%f", "%y%m%d-%H%M%S.%f", "x(%j)[%Y] %I.%M.%S %p %f", "%d %b %Y %H:%M:%S,%f", "%f_%Y-%m-%dT%H-%M-%S",
    "%B%d%Y+%H%M%S+%f", "%H%M%S%f%Y%m%d",
]  # fmt: skip
moments = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2068, 12, 31, 23, 59, 59, 999999))


def ns_of(moment: dt.datetime) -> int:
    since = moment - dt.datetime(1970, 1, 1)
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def read(template: str, name: str) -> int | None:
    reading = read_template(compile_template(template), name)
    return None if reading is None else reading.wall


@given(
    moments, st.sampled_from(TEMPLATES), st.sampled_from(["(", "site_", "a.b-"]), st.sampled_from(["", " x", ".wav"])
)
def test_what_strftime_writes_is_read_exactly(moment, template, before, after):
    assert read(template, before + moment.strftime(template) + after) == ns_of(moment)


@given(moments, st.integers(0, 999_999_999))
def test_nine_decimals_are_kept(moment, ns):
    whole = moment.replace(microsecond=0)
    assert read("%Y%m%d%H%M%S.%f", f"{whole:%Y%m%d%H%M%S}.{ns:09d}.wav") == ns_of(whole) + ns


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_kept_with_the_time(moment, minutes):
    aware = moment.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    reading = read_template(compile_template("%Y%m%dT%H%M%S.%f%z"), f"a_{aware:%Y%m%dT%H%M%S.%f%z}.wav")
    assert (reading.wall, reading.offset) == (ns_of(moment), minutes * 60)


@given(moments, st.text("abc_- ", max_size=8), st.text("abc_- ", max_size=8), st.booleans())
def test_offsets_are_inclusive_positions_in_the_stem(moment, before, after, with_template):
    written = f"{moment:%Y%m%d-%H%M%S}"
    name = f"folder/{before}{written}{after}.wav"
    template = compile_template("%Y%m%d-%H%M%S") if with_template else None
    reading = read_offsets(name, (len(before), len(before) + len(written) - 1), template)
    assert reading.wall == ns_of(moment.replace(microsecond=0))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("220103183000", "2022-01-03T18:30:00Z"),
        ("20220103183000", "2022-01-03T18:30:00Z"),
        ("202201031830005", "2022-01-03T18:30:00.5Z"),
        ("20220103183000123456789", "2022-01-03T18:30:00.123456789Z"),
    ],
)
def test_a_slice_without_template_is_read_by_its_number_of_digits(digits, expected):
    reading = read_offsets(f"{digits}.wav", (0, len(digits) - 1), None)
    assert iso(reading.wall) == expected


@pytest.mark.parametrize("last", [7, 9, 10])
def test_any_other_number_of_digits_is_a_problem_that_says_which_are_read(last):
    problem = read_offsets("20220103183000.wav", (0, last), None).problem
    assert f"{last + 1} digits" in problem
    assert "expected 12" in problem


def test_a_slice_outside_the_name_is_a_problem_not_an_empty_slice():
    assert "the 3 characters of 'abc'" in read_offsets("abc.wav", (0, 13), None).problem


def test_a_slice_that_cuts_the_time_is_not_read_by_a_template():
    assert read_offsets("2022-01-03_18-30-05.wav", (0, 17), compile_template("%Y-%m-%d_%H-%M-%S")).wall is None


@pytest.mark.parametrize("offsets", [(3, 1), (-1, 4), (1,), "ab", (0.0, 3), 5])
def test_offsets_that_are_no_pair_of_positions(offsets):
    with pytest.raises(ClockError, match="two character positions"):
        read_names(["a.wav"], None, offsets)


def test_offsets_may_be_numpy_integers_and_a_template_must_be_text():
    assert read_names(["20220103183000.wav"], None, (np.int64(0), np.int64(13)))[0].wall is not None
    with pytest.raises(ClockError, match="expected a strftime template"):
        read_names(["a.wav"], 5)
    with pytest.raises(ClockError, match="pass one of them"):
        read_names(["a.wav"], [])


def test_literals_are_literal():
    assert read("a.b(%Y%m%d)", "a.b(20220103).wav") is not None
    assert read("a.b(%Y%m%d)", "axb(20220103).wav") is None
    assert read("100%%_%Y%m%d", "100%_20220103.wav") is not None


def test_the_last_match_counts_and_folders_do_not():
    [reading] = read_names(["20010101/20220103_20230405.wav"], "%Y%m%d")
    assert iso(reading.wall) == "2023-04-05T00:00:00Z"
    assert read_names(["20010101/x.wav", "20020202.wav"], "%Y%m%d")[0].wall is None


def test_a_time_is_never_cut_out_of_a_longer_number():
    assert read("%y%m%d%H%M%S", "20220103183000.wav") is None
    assert read("%Y%m%d", "id120220103.wav") is None


def test_second_60_is_the_next_minute():
    assert iso(read("%Y%m%d%H%M%S", "20161231235960.wav")) == "2017-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "name", ["20220230_000000", "20221301_000000", "20220101_240000", "20220101_006000", "20220101_000061"]
)
def test_an_impossible_date_is_flagged_never_moved(name):
    reading = read_template(compile_template("%Y%m%d_%H%M%S"), name)
    assert reading.wall is None
    assert reading.problem.startswith("impossible_date")
    assert name in reading.problem


def test_day_366_needs_a_leap_year():
    assert iso(read("%Y%j", "2020366")) == "2020-12-31T00:00:00Z"
    assert read("%Y%j", "2021366") is None
    assert read("%Y%j", "2021000") is None


def test_blank_instead_of_zero_and_unpadded_numbers():
    assert iso(read("%Y%m%d", "202206 7")) == "2022-06-07T00:00:00Z"
    assert iso(read("%Y-%-m-%-d", "2022-6-17")) == "2022-06-17T00:00:00Z"


def test_two_digit_years_turn_at_69():
    assert iso(read("%y%m%d", "680101")).startswith("2068")
    assert iso(read("%y%m%d", "690101")).startswith("1969")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("%H%M%S", "does not make a date"),
        ("%Y%m", "does not make a date"),
        ("hello", "does not make a date"),
        ("%Y%m%d %q", "'%q' is not known"),
        ("%Y%m%d%", "not known"),
        ("%Y%Y%m%d", "occurs twice"),
        ("%Y%y%m%d", "say the same thing"),
        ("%Y%m%d%j", "say the same thing"),
        ("%Y%m%d %I%M", "belong together"),
    ],
)
def test_templates_that_cannot_be_read_say_why(template, says):
    with pytest.raises(ClockError, match=says):
        compile_template(template)


def test_of_several_templates_the_first_that_matches_reads():
    names = ["a_20220103_183000.wav", "b_220104.wav", "c.wav"]
    readings = read_names(names, ["%Y%m%d_%H%M%S", "%y%m%d"])
    assert [reading.by for reading in readings] == ["%Y%m%d_%H%M%S", "%y%m%d", ""]
    assert "no_time" in readings[2].problem


@given(st.lists(moments, min_size=12, max_size=12), st.sampled_from([*TEMPLATES, "%Y%m%d_%H%M%S"]), st.booleans())
def test_many_names_are_read_as_they_are_one_by_one(times, template, spoilt):
    names = [f"a_{time.strftime(template)}_7.wav" for time in times]
    if spoilt:
        names[3:] = [name.replace("1", "9") for name in names[3:]]
    for templates in (template, ["%d.%m.%Y", template], ["2%Y%m%d", template]):
        together = read_names(names, templates)
        assert together == [read_names([name], templates)[0] for name in names]
