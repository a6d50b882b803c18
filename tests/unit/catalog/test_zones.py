"""Local times to UTC: against the standard library, and at the changes of the clocks."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelarray.catalog.zones import iso, localise, parse_zone, read_iso, wall_ns
from reelarray.errors import ClockError

ZONES = ["Europe/Paris", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]


@given(st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2060, 1, 1)), st.sampled_from(ZONES))
def test_times_that_occur_once_are_converted_and_others_raise(moment, zone):
    wall = wall_ns(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond * 1000
    )
    both = [moment.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
    instants = sorted(
        (each - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000 for each in both
    )
    if instants[0] == instants[1]:
        assert localise(wall, parse_zone(zone)) == instants[0]
    else:
        with pytest.raises(ClockError):
            localise(wall, parse_zone(zone))
    assert localise(wall, parse_zone(zone), "earlier") == instants[0]
    assert localise(wall, parse_zone(zone), "later") == instants[1]


@pytest.mark.parametrize(
    ("text", "says", "earlier", "later"),
    [
        ("2022-10-30T02:30:00", "occurs twice", "2022-10-30T00:30:00Z", "2022-10-30T01:30:00Z"),
        ("2022-03-27T02:30:00", "never occurs", "2022-03-27T00:30:00Z", "2022-03-27T01:30:00Z"),
    ],
)
def test_clock_changes_raise_unless_a_policy_is_given(text, says, earlier, later):
    wall, _ = read_iso(text)
    paris = parse_zone("Europe/Paris")
    with pytest.raises(ClockError, match=rf"{says}.*ambiguous='earlier'"):
        localise(wall, paris)
    assert iso(localise(wall, paris, "earlier")) == earlier
    assert iso(localise(wall, paris, "later")) == later


@pytest.mark.parametrize(("text", "hours"), [("+02:00", 2), ("-0330", -3.5), ("UTC+1", 1), ("Z", 0), ("gmt", 0)])
def test_offsets_are_zones(text, hours):
    assert parse_zone(text).utcoffset(None) == dt.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["Europe/Pariss", "+25:00", "", "../etc/passwd"])
def test_what_is_no_zone_says_what_one_is(text):
    with pytest.raises(ClockError, match="Europe/Paris"):
        parse_zone(text)


@given(st.integers(-(10**18), 9 * 10**18))
def test_iso_text_is_read_back_exactly(ns):
    assert read_iso(iso(ns)) == (ns, "Z")


def test_times_beyond_what_datetime64_holds_are_no_times():
    assert wall_ns(2263, 1, 1) is None
    assert wall_ns(1, 1, 1) is None
