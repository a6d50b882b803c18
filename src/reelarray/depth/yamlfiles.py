"""YAML files, the one place that reads and writes them: plain values only, and nothing in a file is ever run."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import yaml

from ..errors import FormatError
from ..sinks.atomic import writing

_STR = "tag:yaml.org,2002:{}".format
# What a word without quotes means, by YAML 1.2 (core schema, yaml.org/spec/1.2.2/#103-core-schema): `3:00:00` is text
# and no number of seconds, `no` is a name, `1e-5` is a number. Numbers with leading zeros stay text: they are names.
_MEANINGS = [
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the words of YAML 1.2, keys as they are written, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "names with values were expected", node.start_mark)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in seen:
                first = seen[key.value] + 1
                what = f"the key {key.value!r} is here again, after line {first}: keep one of them"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen[key.value] = key.start_mark.line
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_yaml_map(self, node: Any) -> Any:
        yield self.construct_mapping(node, deep=True)


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq")
}
for _name, _pattern, _first in _MEANINGS:
    _Loader.add_implicit_resolver(_STR(_name), re.compile(rf"(?:{_pattern})\Z"), [c.strip("\0") for c in _first])
_Loader.add_constructor(_STR("map"), _Loader.construct_yaml_map)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever a reader of YAML 1.1 or 1.2 would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeDumper.yaml_implicit_resolvers.items()}
_Dumper.add_implicit_resolver(_STR("float"), re.compile(r"[-+.]?[0-9][0-9_.eExXoOa-fA-F+:-]*\Z"), list("-+.0123456789"))


def _flow(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    flat = not any(isinstance(item, list | dict) for item in items)
    return dumper.represent_sequence(_STR("seq"), items, flow_style=flat)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    whole = text.isprintable() or set(text) <= {"\n", *filter(str.isprintable, text)}
    return dumper.represent_scalar(_STR("str"), text, style=None if whole else '"')  # which escapes all else


_Dumper.add_representer(list, _flow)
_Dumper.add_representer(str, _text)


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping that a YAML file holds, as plain values; {} for an empty file.

    Words mean what YAML 1.2 says: `3:00:00`, `no`, `2024-05-01` and `007` are text. Keys are text always.

    Raises
    ------
    FileNotFoundError : no such file
    FormatError : no YAML, a list or a lone value, a key twice, or a tag such as `!!python/tuple` (those can run code
        and are refused); the message has the file and the line

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "config.yaml").write_text("crop_size: [80, 80]\\nwall_time: 3:00:00\\nflip_classifier:\\n")
    ...     read_yaml(f"{folder}/config.yaml")
    {'crop_size': [80, 80], 'wall_time': '3:00:00', 'flip_classifier': None}
    """
    try:
        found = yaml.load(Path(path).read_bytes(), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FormatError(f"{path}, line {mark.line + 1 if mark else '?'}: {_told(error)}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        told = " ".join(str(error).split())
        raise FormatError(f"{path} is no YAML text ({told}): mend it, or write it anew as UTF-8") from None
    except RecursionError:
        raise FormatError(f"{path} is nested without end: write its values out, without anchors of their own") from None
    except ValueError as error:  # a number that Python refuses, such as one of 5000 digits
        raise FormatError(f"{path} holds an impossible value ({error}): mend it") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds a {type(found).__name__}; names with values were expected, as in 'fps: 30'")
    return found


def _told(error: yaml.MarkedYAMLError) -> str:
    said = " ".join((error.problem or error.context or "broken YAML").split())
    if isinstance(error, yaml.constructor.ConstructorError) and "could not determine a constructor" in said:
        tag = said.partition("'")[2].partition("'")[0].replace("tag:yaml.org,2002:", "!!")
        return f"the tag {tag} is not read, as it can stand for code: write the value as plain text, number or list"
    return said


def write_yaml(path: str | os.PathLike[str], mapping: Mapping[str, Any]) -> Path:
    """Write a mapping as YAML, whole or not at all; what is read back equals `plain(mapping)`.

    Order is kept, non-ASCII text is written as it is, and text that looks like a number, a date or a flag is quoted.

    Raises
    ------
    FormatError : a value that has no plain form, with the name that it has
    FileNotFoundError : the folder is not there

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_yaml(f"{folder}/a.yaml", {"size": np.array([80, 80]), "name": "3:00:00"})
    ...     print(path.read_text(), end="")
    size: [80, 80]
    name: '3:00:00'
    """
    try:
        text = yaml.dump(plain(mapping), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    except (FormatError, yaml.YAMLError) as error:
        raise FormatError(f"{path} cannot be written: {error}") from None
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def plain(value: Any, where: str = "") -> Any:
    """Values as text, numbers, flags, None, lists and dicts of them: arrays and tuples become lists, paths text.

    Raises
    ------
    FormatError : something else, with the name that it has

    >>> plain({"roi": (np.int16(3), Path("a/b")), "name": b"mouse"})
    {'roi': [3, 'a/b'], 'name': 'mouse'}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = str(value) if value.dtype.kind in "mM" and value.ndim == 0 else value.tolist()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, PurePath):
        return str(value)
    for kind in (bool, int, float, str):  # subclasses too, such as those of enums
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    raise FormatError(
        f"{where or 'a value'} is a {type(value).__name__}, {value!r}; text, numbers, lists were expected"
    )
