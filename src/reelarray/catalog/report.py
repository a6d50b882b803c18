"""What a catalog says as a whole, and what to do about anomalies: a summary, a new table, files moved on request."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reelarray.catalog import anomalies
from reelarray.catalog.names import file_name
from reelarray.catalog.osmose import read_file_list
from reelarray.catalog.tolerance import Tolerance
from reelarray.catalog.zones import iso
from reelarray.errors import RecordingError


@dataclass(frozen=True)
class Summary:
    """A catalog in numbers: times are ISO text in UTC, durations seconds, rates Hz, volume MB (1e6 bytes).

    `duration` is from the first start to the last stop, `effort` the seconds of samples, `duty_cycle` the percentage of
    the mean interval between starts that the mean file covers (NaN unless starts are regular). `anomalies` has the
    number of files by code, `files_of` the first ten names by code, `missing` what a timestamp.csv names and is not
    there, `read_by` the templates or patterns that read the names. `str()` of it is a report to read.
    """

    files: int
    used: int
    rates: dict[float, int]
    channels: dict[int, int]
    subtypes: dict[str, int]
    start: str | None
    stop: str | None
    duration: float | None
    effort: float
    volume: float
    gaps: int
    gap_seconds: float
    overlaps: int
    duty_cycle: float
    anomalies: dict[str, int]
    files_of: dict[str, list[str]]
    start_sources: dict[str, int]
    missing: list[str]
    read_by: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        found = asdict(self)
        found["rates"] = {f"{rate:g}": count for rate, count in self.rates.items()}
        found["channels"] = {str(number): count for number, count in self.channels.items()}
        found["duty_cycle"] = None if np.isnan(self.duty_cycle) else self.duty_cycle
        return found

    def __str__(self) -> str:
        lines = [
            f"files     {self.files:,} ({self.used:,} usable), {self.volume:,.1f} MB",
            f"rate      {_counts({f'{rate:,.10g} Hz': n for rate, n in self.rates.items()})}",
            f"channels  {_counts(self.channels)}; samples {_counts(self.subtypes)}",
            f"start     {self.start or 'unknown'}",
            f"stop      {self.stop or 'unknown'}",
            f"starts    from {_counts({source or 'nothing': n for source, n in self.start_sources.items()})}",
            f"effort    {self.effort:,.3f} s" + (f" of {self.duration:,.3f} s" if self.duration is not None else ""),
            f"gaps      {self.gaps:,} ({self.gap_seconds:,.3f} s), overlaps {self.overlaps:,}",
        ]
        if "name" in self.start_sources:
            lines.insert(6, f"names     read as {', '.join(f'{rule} ({n:,})' for rule, n in self.read_by.items())}")
        if not np.isnan(self.duty_cycle):
            lines.append(f"duty      {self.duty_cycle:.2f} %")
        if self.missing:
            more = f" and {len(self.missing) - 10} more" if len(self.missing) > 10 else ""
            lines.append(
                f"missing   {len(self.missing):,} files of the timestamp.csv: {', '.join(self.missing[:10])}{more}"
            )
        if not self.anomalies:
            lines.append("anomalies none")
        for code, count in self.anomalies.items():
            names = ", ".join(self.files_of[code]) + (
                f" and {count - len(self.files_of[code])} more" if count > 10 else ""
            )
            lines.append(f"anomaly   {code} (level {anomalies.LEVELS.get(code, 2)}): {count:,} files: {names}")
        return "\n".join(lines)


def _counts(counts: dict[Any, int]) -> str:
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{value} ({number:,} files)" for value, number in counts.items()) or "unknown"


def summarise(catalog: pd.DataFrame) -> Summary:
    """Catalog -> Summary; gaps and overlaps count between usable files, by the tolerance of the scan."""
    used = catalog[catalog["use"]]
    readable = catalog[catalog["format"] != ""]
    placed = used.dropna(subset=["start", "stop"])
    starts = placed["start"].astype("datetime64[ns]").astype("int64").to_numpy()
    stops = placed["stop"].astype("datetime64[ns]").astype("int64").to_numpy()
    rates = [Fraction(rate) for rate in readable["exact_rate"].unique()]
    within = Tolerance.of(catalog.attrs.get("tolerance_given"), starts, rates)
    # neighbours of each file but the first: the one that lasts longest of those before
    latest = np.maximum.accumulate(np.where(stops == np.maximum.accumulate(stops), np.arange(len(stops)), 0))[:-1]
    lasts, apart = stops - starts, starts[1:] - stops[latest]
    gaps = apart[apart > within.gap(lasts[latest], lasts[1:])] / 1e9
    counted: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for path, text in zip(catalog["path"], catalog["anomaly"], strict=True):
        for code in dict.fromkeys(anomalies.codes(text)):
            counted[code] += 1
            if counted[code] <= 10:
                names.setdefault(code, []).append(file_name(str(path)))
    ordered = sorted(counted, key=lambda code: (anomalies.LEVELS.get(code, 2), code))
    return Summary(
        files=len(catalog),
        used=len(used),
        rates={float(rate): int(n) for rate, n in readable["rate"].value_counts().items()},
        channels={int(number): int(n) for number, n in readable["channels"].value_counts().items()},
        subtypes={str(kind): int(n) for kind, n in readable["subtype"].value_counts().items()},
        start=iso(int(starts.min())) if len(starts) else None,
        stop=iso(int(stops.max())) if len(stops) else None,
        duration=float(stops.max() - starts.min()) / 1e9 if len(starts) else None,
        effort=float((used["samples"] / used["rate"]).sum()),
        volume=float(catalog["bytes"].sum()) / 1e6,
        gaps=len(gaps),
        gap_seconds=float(gaps.sum()),
        overlaps=int((apart < -within.overlap(lasts[latest])).sum()),
        duty_cycle=duty_cycle(starts, (placed["samples"] / placed["rate"]).to_numpy(), within.ns / 1e9),
        anomalies={code: counted[code] for code in ordered},
        files_of={code: names[code] for code in ordered},
        read_by=dict(catalog.attrs.get("read_by", {})),
        missing=list(catalog.attrs.get("csv_missing", ())),
        start_sources={str(source): int(n) for source, n in catalog["start_source"].value_counts().items()},
    )


def duty_cycle(starts: np.ndarray, seconds: np.ndarray, tolerance: float) -> float:
    """Percent of time recorded: 100 * mean duration / mean interval; NaN unless intervals agree within `tolerance` s.

    >>> duty_cycle(np.array([0, 30, 60]) * 10**9, np.array([10.0, 10.0, 10.0]), 1.0)
    33.333333333333336
    """
    intervals = np.diff(starts) / 1e9
    if not len(intervals) or np.ptp(intervals) > tolerance or intervals.mean() <= 0:
        return float("nan")
    return float(100 * seconds.mean() / intervals.mean())


def is_abnormal(catalog: pd.DataFrame) -> pd.Series:
    """True for rows with an anomaly of level 0 or 1."""
    return catalog["anomaly"].map(lambda text: (found := anomalies.level(text)) is not None and found < 2).astype(bool)


def drop_abnormal(catalog: pd.DataFrame) -> pd.DataFrame:
    """Catalog -> new catalog without the rows of anomalies of level 0 and 1; no file is touched.

    `attrs["dropped"]` of the result names what was left out.
    """
    abnormal = is_abnormal(catalog)
    kept = catalog[~abnormal].reset_index(drop=True)
    kept.attrs = {**catalog.attrs, "dropped": [str(path) for path in catalog.loc[abnormal, "path"]]}
    return kept


def select(catalog: pd.DataFrame, files: Iterable[str] | str | os.PathLike[str]) -> pd.DataFrame:
    """Catalog -> catalog of the files named, by a list of names or paths or by a csv file with one of them a line.

    Raises
    ------
    RecordingError : a name that no file of the catalog has, or several
    """
    wanted = read_file_list(files) if isinstance(files, str | os.PathLike) else list(files)
    places: dict[str, list[int]] = {}
    for index, path in enumerate(map(str, catalog["path"])):
        for key in {path, file_name(path)}:
            places.setdefault(key, []).append(index)
    wrong = [f"{name} ({len(places.get(name, ()))} files)" for name in wanted if len(places.get(name, ())) != 1]
    if wrong:
        raise RecordingError(
            f"{len(wrong)} of {len(wanted)} names are not those of one file: {', '.join(wrong[:10])}; correct "
            "them, or give paths"
        )
    chosen = catalog.iloc[sorted({places[name][0] for name in wanted})].reset_index(drop=True)
    chosen.attrs = dict(catalog.attrs)
    return chosen


def quarantine(
    catalog: pd.DataFrame, folder: str | os.PathLike[str], *, only: Iterable[str] | None = None
) -> pd.DataFrame:
    """Move files with anomalies of level 0 or 1 into `folder`; returns a table of what moved: path, moved_to, anomaly.

    `only` restricts this to some anomaly codes. Either all of them can be moved, or none is: nothing is overwritten,
    and where two have one name or the folder has it already, an error says so before the first move.

    Raises
    ------
    RecordingError : names that collide, or files that are not local
    """
    wanted = None if only is None else set(only)
    rows = catalog[is_abnormal(catalog)]
    if wanted is not None:
        rows = rows[[bool(wanted & set(anomalies.codes(text))) for text in rows["anomaly"]]]
    moves = [(str(path), Path(folder) / file_name(str(path))) for path in rows["path"]]
    remote = [path for path, _ in moves if "://" in path]
    if remote:
        raise RecordingError(
            f"{len(remote)} files are not local ({remote[0]}); only local files are moved: use drop_abnormal"
        )
    targets = Counter(target for _, target in moves)
    taken = [f"{path} -> {target}" for path, target in moves if target.exists() or targets[target] > 1]
    if taken:
        shown = "; ".join(taken[:10])
        raise RecordingError(
            f"{len(taken)} files would overwrite another ({shown}); nothing was moved: pass an empty folder"
        )
    if moves:
        Path(folder).mkdir(parents=True, exist_ok=True)
    for path, target in moves:
        shutil.move(path, target)
    return pd.DataFrame(
        {
            "path": [path for path, _ in moves],
            "moved_to": [str(target) for _, target in moves],
            "anomaly": rows["anomaly"].tolist(),
        }
    )
