"""The report: tables of a run as JSON, and as the table in README.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .measure import Settings, Table

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: written by --write-readme -->", "<!-- end of results -->"


def as_json(tables: Sequence[Table], machine: dict[str, Any], settings: Settings, command: str) -> str:
    run = {"command": command, "size": settings.size, "repeats": settings.repeats, "machine": machine}
    return json.dumps({**run, "tables": [asdict(table) for table in tables]}, indent=1)


def as_markdown(tables: Sequence[Table], machine: dict[str, Any], command: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    cache = ", ".join(f"{level} {size}" for level, size in machine["cache"].items())
    lines = [
        f"`{command}`",
        f"{machine['processor']}, {machine['cores']} cores{f' ({cache})' if cache else ''}, {machine['system']}; "
        f"Python {machine['python']}, {versions}.",
    ]
    for table in tables:
        lines += [f"### {table.name}", f"{table.title}.", table.markdown()]
    return "\n\n".join(lines)


def write_readme(text: str, readme: Path = README) -> None:
    """Put the results between the marks of the README, and leave the rest of it as it is."""
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
