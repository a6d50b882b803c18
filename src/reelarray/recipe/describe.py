"""A plan in lines: the input, what each step makes of it, and the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from . import inputs
from .each import EachPlan
from .report import MOST_SHOWN
from .steps import apply_steps
from .whole import WholePlan


def input_lines(plan: EachPlan | WholePlan) -> list[str]:
    """What is read, and what is left out."""
    if isinstance(plan, WholePlan):
        lines = [f"input     {inputs.describe(plan.x, len(plan.deployment.chosen))}"]
        left_out = plan.deployment.left_out
    else:
        files = [unit.row for unit in plan.units.values()]
        seconds = sum(row["samples"] / row["rate"] for row in files)
        rates = sorted({row["rate"] for row in files})
        told = ", ".join(f"{rate:,.10g}" for rate in rates[:4]) + (", ..." if len(rates) > 4 else "")
        lines = [f"input     {len(files):,} recording{'s' * (len(files) != 1)}, {seconds:,.1f} s at {told} Hz"]
        left_out = plan.left_out
    for path, reason in zip(inputs.names(left_out["path"]), left_out["reason"], strict=True):
        if len(lines) > MOST_SHOWN:
            lines.append(f"left out  and {len(left_out) - MOST_SHOWN:,} more")
            break
        lines.append(f"left out  {path}: {reason}")
    return lines


def step_lines(plan: EachPlan | WholePlan) -> list[str]:
    """What each step makes: of all, or of the first recording."""
    if isinstance(plan, WholePlan):
        x, of = plan.x, ""
    else:
        first = next(iter(plan.units.values()))
        x, of = plan.deployment.open_row(first.row), f" (of {inputs.names([first.row['path']])[0]})"
    lines = [f"opened    {shape(x)}{of}"]
    for number, step in enumerate(plan.recipe.steps, 1):
        x = apply_steps(x, [step], plan.recipe.folder)
        lines.append(f"step {number:<4} {step}: {shape(x)}")
    return lines


def output_lines(path: str, counts: Mapping[str, int]) -> list[str]:
    """Where it goes, and how much of it is there."""
    said = (
        f"{counts.get('skipped', 0):,} in place, {counts['left']:,} to do, {counts.get('failed', 0):,} failed earlier"
    )
    return [f"output    {path}", f"units     {said}"]


def shape(x: xr.DataArray) -> str:
    """Dimensions, sizes and units."""
    sizes = " x ".join(f"{size:,} {dim}" for dim, size in x.sizes.items())
    units: Any = x.attrs.get("units", "?")
    return f"{sizes} [{units}], {x.dtype}"
