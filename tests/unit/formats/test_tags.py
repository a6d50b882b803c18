"""What recorders say in words: each piece is found by itself, and only stated time zones make a start."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
import riffs

from reelarray.formats import tags


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("comment", "start", "rest"),
    [
        (
            "Recorded at 10:25:00 04/04/2020 (UTC) by AudioMoth 24526B065D325963 at gain setting 2 while battery state "
            "was 4.7V.",
            "2020-04-04T10:25:00+00:00",
            {"device": "24526B065D325963", "gain": "gain setting 2", "battery_volts": 4.7},
        ),
        (
            "Recorded at 23:59:59 31/12/2021 (UTC-3) by HydroMoth 0000000000000001 at low-medium gain while battery "
            "was less than 2.5V and temperature was 21.0C.",
            "2022-01-01T02:59:59+00:00",
            {"gain": "low-medium gain", "battery_bound": "less", "battery_volts": 2.5, "temperature_celsius": 21.0},
        ),
        ("Recorded at 00:10:00 01/03/2024 (UTC+5:45)", "2024-02-29T18:25:00+00:00", {}),
    ],
)
def test_audiomoth_comments_state_their_zone(comment: str, start: str, rest: dict[str, object]) -> None:
    found = tags.audiomoth(comment)
    assert tags.start({"audiomoth": found}) == (ns(start), {"start_source": "audiomoth"})
    assert {key: found[key] for key in rest} == rest


def test_an_audiomoth_without_zone_starts_nothing() -> None:
    found = tags.audiomoth("Recorded at 16:00:00 10/05/2018 by AudioMoth 24526B065D325963 at high gain")
    assert tags.start({"audiomoth": found}) == (
        None,
        {"naive_start": "2018-05-10T16:00:00", "start_source": "audiomoth"},
    )


@pytest.mark.parametrize(
    ("stamp", "start_ns", "naive"),
    [
        ("2021-03-04T21:12:00.123-05:00", ns("2021-03-05T02:12:00+00:00") + 123_000_000, None),
        ("2021-03-04 21:12:00Z", ns("2021-03-04T21:12:00+00:00"), None),
        ("2021-03-04T21:12:00.5", None, "2021-03-04T21:12:00.5"),
        ("2021-03-04T23:59:60Z", ns("2021-03-05T00:00:00+00:00"), None),
        ("2021-02-30T21:12:00Z", None, None),
        ("2021-02-03T25:12:00Z", None, None),
        ("yesterday", None, None),
    ],
)
def test_guano_timestamps(stamp: str, start_ns: int | None, naive: str | None) -> None:
    found = tags.guano(f"GUANO|Version: 1.0\nTimestamp: {stamp}\nNote: a: b\n\nno colon here".encode())
    assert (found["GUANO|Version"], found["Note"]) == ("1.0", "a: b")
    utc, origin = tags.start({"guano": found})
    assert utc == start_ns
    assert origin.get("naive_start") == naive


@pytest.mark.parametrize(
    ("date", "time"), [("2018-12-31", "12:40:00"), ("2018:12:31", "12-40-00"), ("2018/12/31", "12.40.00")]
)
def test_bext_is_naive_whatever_stands_between_its_numbers(date: str, time: str) -> None:
    found = tags.bext(
        riffs.bext(description="d" * 256, originator="Pro Tools", date=date, time=time, reference=1 << 40)
    )
    assert (found["description"], found["originator"], found["time_reference"]) == ("d" * 256, "Pro Tools", 1 << 40)
    assert tags.start({"bext": found}) == (None, {"naive_start": "2018-12-31T12:40:00", "start_source": "bext"})


def test_a_stated_zone_beats_a_naive_time() -> None:
    metadata = {
        "audiomoth": tags.audiomoth("Recorded at 16:00:00 10/05/2018"),
        "guano": {"Timestamp": "2018-05-10T14:00:00Z"},
        "bext": {"date": "2018-05-10", "time": "16:00:00"},
    }
    assert tags.start(metadata) == (ns("2018-05-10T14:00:00+00:00"), {"start_source": "guano"})


def test_info_items_of_either_byte_order_and_lists_of_other_kinds() -> None:
    items = {"IART": "Kelly", "ICMT": "naïve"}
    assert tags.info(riffs.info(items)) == items
    assert tags.info(riffs.info(items, ">"), ">") == items
    assert tags.info(b"adtl" + riffs.chunk(b"labl", b"abcd")) == {}
    assert tags.info(riffs.info(items)[:-3]) == {"IART": "Kelly", "ICMT": "naï" + "v"}


def test_bytes_that_are_no_utf8_are_latin1() -> None:
    assert tags.text(b"caf\xe9 \0rubbish") == "café"


def test_auxi_of_radio_recorders() -> None:
    moment = struct.pack("<8H", 2021, 3, 4, 4, 21, 12, 0, 7)
    assert tags.auxi(moment + moment + struct.pack("<I", 244_778_900)) == {
        "center_frequency": 244_778_900,
        "start": "2021-03-04T21:12:00.007",
        "stop": "2021-03-04T21:12:00.007",
    }
    assert tags.auxi(b"short") == {}
