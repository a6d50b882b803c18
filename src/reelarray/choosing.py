"""Which files of a catalog make a recording, and why the others do not."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import pandas as pd

from .errors import ClockError, RecordingError
from .exact import exact_rate

OnBad = Literal["raise", "skip", "use"]
NEVER = ("unreadable", "no_frames")  # nothing of such a file can be used, whatever the caller wants


def choose_files(
    catalog: pd.DataFrame,
    *,
    rate: Any = None,
    channels: int | None = None,
    on_bad: OnBad = "raise",
    together: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a catalog that `open_recordings` opens, and the others with a column `reason`.

    Parameters and errors are those of `open_recordings`; not `together`, each file is to be opened for itself, so that
    they may differ and need no times.
    """
    readable = (catalog["samples"] > 0) & (catalog["format"] != "")
    reason = pd.Series([None] * len(catalog), catalog.index, object)
    for column, name, asked, units in (("exact_rate", "rate", rate, " Hz"), ("channels", "channels", channels, "")):
        wanted = asked if asked is None or name == "channels" else str(exact_rate(asked))
        if wanted is not None:
            others = readable & reason.isna() & (catalog[column] != wanted)
            reason[others] = [f"{name} {value}{units}, {wanted} was asked for" for value in catalog.loc[others, column]]
            if not (readable & reason.isna()).any():
                there = ", ".join(f"{v} ({n} files)" for v, n in catalog[column][readable].value_counts().items())
                raise RecordingError(f"{name}={asked}: no file has it; there are {there or 'no readable files'}")
        if not together:
            continue
        among = catalog[readable & reason.isna()]
        kinds = "rates" if name == "rate" else "numbers of channels"
        _check_alike(among["path"], among[column], kinds, units, f"Choose one with {name}={{}}")
    among = catalog[readable & reason.isna() & together]
    apart = "Open them apart: leave files out with pattern= or exclude=, or rows of the catalog"
    _check_alike(among["path"], among["units"].astype(str), "units", "", apart)
    if among["center_frequency"].nunique(dropna=False) > 1:
        centers = among["center_frequency"].map(lambda center: "none" if np.isnan(center) else f"{center:.17g} Hz")
        _check_alike(among["path"], centers, "centre frequencies", "", apart)
    _check_alike(among["path"], among["iq"].map({True: "pairs I, Q", False: "samples"}), "kinds of samples", "", apart)
    if len({tuple(shape[1:]) for shape in among["shape"]}) > 1:
        frames = among["shape"].map(lambda shape: str(tuple(int(n) for n in shape[1:])))
        _check_alike(among["path"], frames, "shapes of a frame", "", apart)
    asked_for = reason.isna()
    alone = not together or int(asked_for.sum()) == 1
    timeless = catalog["start"].isna() & (not alone)
    suspect = asked_for & ((catalog["anomaly"] != "") | timeless)  # few of a long deployment
    rows = zip(catalog["anomaly"][suspect], timeless[suspect], strict=True)
    reason[suspect] = [_fault(str(anomaly), without_time, on_bad) for anomaly, without_time in rows]
    keep, bad = reason.isna(), asked_for & ~reason.isna()
    if bad.any() and (on_bad == "raise" or not keep.any()):
        raise _cannot_be_used(catalog[bad], reason[bad], int(asked_for.sum()))
    if not keep.any():
        raise RecordingError("the catalog has no files; ra.scan(folder) makes one")
    return catalog[keep], catalog[~keep].assign(reason=reason[~keep])


def _check_alike(paths: pd.Series, values: pd.Series, kinds: str, units: str, advice: str) -> None:
    """Raise an error that lists the groups of files where their values differ."""
    groups = values.value_counts()
    if len(groups) > 1:
        listed = "; ".join(
            f"{value}{units}: {count} files, such as {os.path.basename(str(paths[values == value].iloc[0]))}"
            for value, count in groups.items()
        )
        raise RecordingError(
            f"files of {len(groups)} different {kinds} cannot be one recording: {listed}. "
            f"{advice.format(groups.index[0])}"
        )


def _fault(anomaly: str, timeless: bool, on_bad: str) -> str | None:
    """Why a file cannot be opened as it is."""
    notes = [note for note in anomaly.split("; ") if note]
    for code in NEVER if on_bad == "use" else (*NEVER, "changed", "truncated", "trailing_bytes"):
        for note in notes:
            if note.startswith(code + ":"):
                return note
    if timeless:
        told = [note for note in notes if note.startswith(("no_time", "impossible_date"))]
        return told[0] if told else "no_time: its start is not known"
    return None


def _cannot_be_used(rows: pd.DataFrame, reason: pd.Series, among: int) -> Exception:
    found = [f"{os.path.basename(str(path))}: {why}" for path, why in zip(rows["path"], reason, strict=True)]
    advice = ["on_bad='skip' to leave them out"] if len(rows) < among else []
    if reason.str.startswith(("truncated", "trailing_bytes", "changed")).any():
        advice.append("on_bad='use' for the samples that are there")
    timeless = reason.str.startswith(("no_time", "impossible_date"))
    if timeless.any():
        advice.append("timestamp=, timezone= or start= to say when they start")
    kind = ClockError if timeless.all() else RecordingError
    if among == 1:  # its own error says it all
        path, why = str(rows["path"].iloc[0]), str(reason.iloc[0]).removeprefix("unreadable: ")
        named = why if os.path.basename(path) in why else f"{path}: {why}"
        return kind(f"{named}; pass {', or '.join(advice)}" if advice else named)
    way_out = f"pass {', or '.join(advice)}" if advice else "nothing is left to open"
    return kind(f"{len(rows)} of {among} files cannot be used ({shown(found)}); {way_out}")


def shown(texts: list[str]) -> str:
    return "; ".join(texts[:10]) + (f"; and {len(texts) - 10} more" if len(texts) > 10 else "")
