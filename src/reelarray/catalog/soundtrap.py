"""The `.log.xml` that a SoundTrap writes beside a recording: its start in UTC, gain, temperature, samples and gaps."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from reelarray.catalog.zones import Ambiguous, localise, parse_zone, read_iso
from reelarray.errors import FormatError

# A log is some kilobytes; a file far beyond that is not one.
_LARGEST_LOG = 1 << 24
LOG_SUFFIX = ".log.xml"


@dataclass(frozen=True)
class SoundTrapLog:
    """What a log says of the recording at one rate: UTC ns, `gap_us` in microseconds, `metadata` as JSON values."""

    start_ns: int | None
    stop_ns: int | None
    samples: int | None
    gap_us: float
    metadata: dict[str, Any] = field(default_factory=dict)


def log_beside(path: str) -> str:
    """Where the log of a recording would be: "5146.200828000000.wav" -> "5146.200828000000.log.xml"."""
    return re.sub(r"\.[^.\\/]*$", "", path) + LOG_SUFFIX


def read_log(path: str, rate: float, zone: tzinfo, ambiguous: Ambiguous | None = None) -> SoundTrapLog:
    """Read a `.log.xml` for the recording of `rate` Hz; of several wav handlers only that of the rate counts.

    `zone` is where the recorder's clock stood, for logs that give local times only.

    Raises
    ------
    FormatError : no XML, a DOCTYPE, no handler or several ones of this rate
    ClockError : a local time that a clock change makes ambiguous
    """
    root = _parse(path)
    handlers = {number: facts for number, facts in _handlers(root).items() if _text_of(facts, "Start")}
    rates = {number: _rate_of(root, number) for number in handlers}
    matching = [number for number in handlers if rates[number] == rate]
    if not matching and len(handlers) == 1 and set(rates.values()) == {None}:
        matching = list(handlers)  # the log names no rate at all, and there is nothing to choose between
    if len(matching) != 1:
        seen = ", ".join(f"{value:g}" if value else "unknown" for value in rates.values())
        raise FormatError(
            f"{path}: {len(matching)} of {len(handlers)} WavFileHandler entries with a start time are of the "
            f"recording's rate, {rate:g} Hz (rates in the log: {seen or 'none'}); expected one: move the log away to "
            "use the name, or pass start= or timestamps_csv="
        )
    facts = handlers[matching[0]]
    metadata: dict[str, Any] = {
        "log": Path(path).name,
        **{name: value for name, value in facts.items() if "Gap" in name},
    }
    gain = next((audio.get("Gain") for audio in root.iter("AUDIO") if audio.get("Gain")), None)
    if gain:
        metadata["gain"] = gain
    for node in root.iter("TEMPERATURE"):
        if (value := _number(node.text)) is not None:
            metadata["temperature_celsius"] = value / 100
            break
    samples = _number(facts.get("SampleCount"))
    start, stop = (_utc(facts, end, zone, ambiguous) for end in ("Start", "Stop"))
    gap_us = _number(facts.get("CumulativeSamplingGap", "").replace("us", "")) or 0.0
    return SoundTrapLog(start, stop, None if samples is None else int(samples), gap_us, metadata)


def _parse(path: str) -> ElementTree.Element:
    with open(path, "rb") as file:
        content = file.read(_LARGEST_LOG + 1)
    if len(content) > _LARGEST_LOG:
        raise FormatError(f"{path}: a log of more than {_LARGEST_LOG >> 20} MiB is no SoundTrap log; move it away")
    # Entities need a DOCTYPE; a log has none, so that none is ever expanded. UTF-16 text has zeros between the letters.
    if b"<!DOCTYPE" in content.replace(b"\0", b"").upper():
        raise FormatError(f"{path}: the log declares a DOCTYPE, which a SoundTrap does not write; move it away")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise FormatError(f"{path}: this is no XML ({error}); repair the log or move it away to use the name") from None


def _handlers(root: ElementTree.Element) -> dict[str, dict[str, str]]:
    """Attributes of the wav handlers by number of their processing step; each comes in an element of its own."""
    handlers: dict[str, dict[str, str]] = {}
    for index, process in enumerate(root.iter("PROC_EVENT")):
        for handler in process.iter("WavFileHandler"):
            facts = handlers.setdefault(process.get("ID") or f"entry {index}", {})
            for name, value in handler.attrib.items():
                facts[name] = f"{facts[name]}; {value}" if name in facts and "Gap" in name else value
    return handlers


def _rate_of(root: ElementTree.Element, number: str) -> float | None:
    """Rate in Hz of a processing step, or of the step that it takes its samples from."""
    steps = {config.get("ID"): config for config in root.iter("CFG")}
    visited = set()
    while number in steps and number not in visited:
        visited.add(number)
        step = steps[number]
        if (rate := _number(step.findtext("FS"))) is not None:
            return rate
        source = step.find("SRC")
        number = source.get("ID", "") if source is not None else ""
    rates = {_number(rate.text) for rate in root.iter("FS")} - {None}
    return rates.pop() if len(rates) == 1 else None


def _text_of(facts: dict[str, str], end: str) -> str | None:
    return facts.get(f"Sampling{end}TimeUTC") or facts.get(f"Sampling{end}TimeLocal")


def _utc(facts: dict[str, str], end: str, zone: tzinfo, ambiguous: Ambiguous | None) -> int | None:
    """UTC ns of one end; the start has its microseconds in an attribute of their own."""
    decimals = _number(facts.get(f"Sampling{end}TimeSubS", "0").replace("us", "")) or 0
    for kind in ("UTC", "Local"):
        found = read_iso(facts.get(f"Sampling{end}Time{kind}", ""))
        if found:
            wall, offset = found
            here = UTC if kind == "UTC" else parse_zone(offset) if offset else zone
            return localise(wall, here, ambiguous) + int(decimals) * 1000
    return None


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
