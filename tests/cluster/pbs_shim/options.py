"""What qsub is told, on its command line and in #PBS lines: read strictly, by the lists of the PBS manuals."""

from __future__ import annotations

import getopt
import re
import shlex
from dataclasses import dataclass, field

# Options of qsub(1B) of PBS Professional; a colon means that a value follows.
LETTERS = "a:A:c:C:e:fhIGj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
# Those with an effect here, or that may be ignored without anybody noticing.
SIMULATED = set("AejklmMNopPqrSvVWz")
RESOURCES = {
    *("arch", "cput", "file", "host", "mem", "mpiprocs", "ncpus", "ngpus", "nice", "nodect", "nodes", "ompthreads"),
    *("pcput", "place", "pmem", "ppn", "pvmem", "select", "software", "vmem", "vnode", "walltime"),
}
SIZES = {"file", "mem", "pmem", "pvmem", "vmem"}
COUNTS = {"mpiprocs", "ncpus", "ngpus", "ompthreads"}
DEPENDENCIES = ("after", "afterok", "afternotok", "afterany")


class Refused(Exception):
    """A submission that qsub turns down: its text and the exit code."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Options:
    """Values by letter (the last one counts), resources and attributes by name."""

    values: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def add(self, words: list[str], where: str) -> list[str]:
        """Read options; what follows them is handed back."""
        try:
            pairs, rest = getopt.getopt(words, LETTERS)
        except getopt.GetoptError as error:
            raise Refused(f"qsub: {error} ({where})\nusage: qsub [-A account] ... [-z] [script]") from None
        for option, value in pairs:
            letter = option[1]
            if letter not in SIMULATED:
                raise Refused(f"qsub: this simulation of PBS does not know what -{letter} does ({where})")
            if letter == "l":
                self.resources |= resources(value)
            elif letter == "W":
                self.attributes |= attributes(value)
            else:
                self.values[letter] = value
        return rest


def options(arguments: list[str], script: str) -> Options:
    """All that a submission says: lines of the script first, so that the command line wins."""
    out = Options()
    for number, words in directives(script):
        if out.add(words, f"line {number} of the script"):
            raise Refused(f"qsub: directive error: line {number} of the script: {shlex.join(words)}")
    rest = out.add(arguments, "command line")
    if len(rest) > 1:
        raise Refused(f"qsub: one script is expected, and {shlex.join(rest)} was given")
    name = out.values.get("N", "")
    if "N" in out.values and not re.fullmatch(r"[A-Za-z0-9][!-~]{0,229}", name):
        raise Refused(f"qsub: illegal -N value {name!r}")
    if out.values.get("j", "n") not in ("oe", "eo", "n"):
        raise Refused(f"qsub: illegal -j value {out.values['j']!r}")
    if not re.fullmatch(r"[oed]+|n", out.values.get("k", "n")):
        raise Refused(f"qsub: illegal -k value {out.values['k']!r}")
    return out


def directives(script: str) -> list[tuple[int, list[str]]]:
    """#PBS lines above the first command: qsub does not look below it."""
    found = []
    for number, line in enumerate(script.splitlines(), 1):
        if line.startswith("#PBS"):
            found.append((number, shlex.split(line[4:])))
        elif line.strip() and not line.startswith("#"):
            break
    return found


def resources(text: str) -> dict[str, str]:
    """`-l walltime=1:00:00,mem=2gb` or `-l select=1:ncpus=2:mem=2gb` by name."""
    out = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        check_resource(name, value if equals else None)
        for part in value.split(":")[1:] if name in ("select", "nodes") else ():
            inner, equals, amount = part.partition("=")
            if equals or name == "select":
                check_resource(inner, amount if equals else None)
        out[name] = value
    return out


def check_resource(name: str, value: str | None) -> None:
    if name not in RESOURCES:
        raise Refused(f"qsub: Unknown resource Resource_List.{name}", 171)
    patterns = {"walltime": r"(\d+:){0,2}\d+", "cput": r"(\d+:){0,2}\d+"}
    patterns |= dict.fromkeys(SIZES, r"(?i:\d+[kmgtp]?[bw]?)") | dict.fromkeys(COUNTS, r"\d+")
    if not value or not re.fullmatch(patterns.get(name, r"\S+"), value):
        raise Refused(f"qsub: Illegal attribute or resource value Resource_List.{name}", 166)


def attributes(text: str) -> dict[str, str]:
    """`-W depend=afterok:1,umask=022` by name; a comma also separates kinds of dependency."""
    out: dict[str, str] = {}
    name = ""
    for item in text.split(","):
        if "=" in item:
            name, _, value = item.partition("=")
            out[name] = value
        elif name == "depend":
            out[name] += f",{item}"
        else:
            raise Refused(f"qsub: illegal -W value {item!r}")
    for name in out:
        if name not in ("depend", "umask"):
            raise Refused(f"qsub: illegal -W value: this simulation of PBS does not know what {name} does")
    if not re.fullmatch(r"[0-7]{1,4}", out.get("umask", "077")):
        raise Refused("qsub: illegal -W value: Illegal attribute or resource value umask", 166)
    return out


def dependencies(text: str | None) -> list[tuple[str, list[str]]]:
    """`afterok:1:2,afterany:3` as kinds and job ids."""
    out = []
    for item in text.split(",") if text else ():
        kind, *ids = item.split(":")
        if kind not in DEPENDENCIES or not ids:
            raise Refused(f"qsub: illegal -W value: depend={text}")
        out.append((kind, ids))
    return out


def seconds(text: str) -> float:
    """[[hours:]minutes:]seconds."""
    return float(sum(int(part) * 60**power for power, part in enumerate(reversed(text.split(":")))))
