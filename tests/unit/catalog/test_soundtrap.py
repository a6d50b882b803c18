"""SoundTrap logs: the handler of the recording's rate, in UTC; nothing that XML can do besides."""

from __future__ import annotations

import pytest
from recorder_files import RATE, write_wav

from reelarray.catalog import scan
from reelarray.catalog.soundtrap import read_log
from reelarray.catalog.zones import iso, parse_zone
from reelarray.errors import FormatError

LOG = """<?xml version="1.0" encoding="UTF-8"?>
<ST>
  <EVENT><AUDIO Gain="High"/></EVENT>
  <EVENT><TEMPERATURE UNITS="0.01 degC"> 1234 </TEMPERATURE></EVENT>
  <CFG ID="3"><FS UNITS="Hz"> 576000 </FS></CFG>
  <CFG ID="4" FTYPE="wav"><SRC ID="3"/><SUFFIX> dwv </SUFFIX></CFG>
  <CFG ID="5" FTYPE="wav"><FS UNITS="Hz"> 1000 </FS><SUFFIX> wav </SUFFIX></CFG>
  <PROC_EVENT ID="4"><WavFileHandler SamplingStartTimeUTC="2020-08-28T09:00:00"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler SamplingStartTimeLocal="2020-08-28T12:00:00"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler SamplingStartTimeUTC="2020-08-28T10:00:00"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler SamplingStopTimeUTC="2020-08-28T10:00:01"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler SamplingStartTimeSubS="250000 us"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler SampleCount="1000"/></PROC_EVENT>
  <PROC_EVENT ID="5"><WavFileHandler CumulativeSamplingGap="0 us"/></PROC_EVENT>
</ST>
"""
UTC = parse_zone("UTC")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "5146.200828120000.log.xml"
    path.write_text(LOG)
    return path


def test_the_handler_of_the_rate_counts(log):
    found = read_log(str(log), 1000.0, UTC)
    assert (iso(found.start_ns), iso(found.stop_ns), found.samples) == (
        "2020-08-28T10:00:00.25Z",
        "2020-08-28T10:00:01Z",
        1000,
    )
    assert found.metadata["gain"] == "High"
    assert found.metadata["temperature_celsius"] == 12.34
    assert iso(read_log(str(log), 576000.0, UTC).start_ns) == "2020-08-28T09:00:00Z"


def test_a_rate_that_the_log_does_not_know(log):
    with pytest.raises(FormatError, match=r"48000 Hz \(rates in the log: 576000, 1000\)"):
        read_log(str(log), 48000.0, UTC)


def test_local_times_are_converted(log):
    log.write_text(LOG.replace('SamplingStartTimeUTC="2020-08-28T10:00:00"', 'Other="x"'))
    assert iso(read_log(str(log), 1000.0, parse_zone("+02:00")).start_ns) == "2020-08-28T10:00:00.25Z"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_before_it_is_read(log, encoding):
    text = LOG.replace('encoding="UTF-8"', f'encoding="{encoding}"').replace(
        "<ST>", '<!DOCTYPE ST [<!ENTITY a "aaaa">]><ST>', 1
    )
    log.write_bytes(text.encode(encoding))
    with pytest.raises(FormatError, match="DOCTYPE"):
        read_log(str(log), 1000.0, UTC)


def test_what_is_no_xml(log):
    log.write_text("<ST>")
    with pytest.raises(FormatError, match="no XML"):
        read_log(str(log), 1000.0, UTC)


def test_the_log_beside_a_recording_gives_its_start(log, tmp_path):
    wav = write_wav(tmp_path / "5146.200828120000.wav", RATE)
    for paths in (tmp_path, wav, f"{tmp_path}/*.wav"):
        table = scan(paths, timezone="+02:00", cache=False)
        assert table["start_source"].tolist() == ["soundtrap"]
        assert str(table["start"][0]) == "2020-08-28 10:00:00.250000"
        assert table["anomaly"][0] == ""
        assert table["metadata"][0]["soundtrap"]["gain"] == "High"
    table = scan(wav, cache=False)
    assert table["anomaly"][0].startswith("header_time: name says 2020-08-28T12:00:00Z")


def test_a_damaged_log_is_an_anomaly_and_the_name_is_read(log, tmp_path):
    write_wav(tmp_path / "5146.200828120000.wav", RATE - 1)
    assert "counts 1,000 samples, the file has 999" in scan(tmp_path, cache=False)["anomaly"][0]
    log.write_text("no log")
    table = scan(tmp_path, cache=False)
    assert table["start_source"][0] == "name"
    assert table["anomaly"][0].startswith("unreadable_log: ")
    assert str(log) in table["anomaly"][0]
