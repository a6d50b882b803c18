"""Options of an extraction: checked against the table, complete, frozen, and told apart by a hash."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ..errors import RecipeError
from .classifiers import PICKLES, no_pickles
from .optionkinds import KINDS, MODELS
from .optiontable import TABLE, Option
from .yamlfiles import plain, read_yaml

RESULTS = 1  # raised when equal options give other numbers than before


@dataclass(frozen=True, eq=False)
class Options(Mapping[str, Any]):
    """Every option with its value; `resolve_config` makes them. `notes` says what was changed, or has no effect.

    >>> options = resolve_config({"min_height": 20}, spatial_filter_size=5)
    >>> options["min_height"], options["spatial_filter_size"], options["crop_size"]
    (20, (5,), None)
    """

    chosen: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.chosen[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML, JSON and HDF5: tuples are lists, a function is its name."""
        return {name: plain(_named(value)) for name, value in self.chosen.items()}

    @property
    def hash(self) -> str:
        """32 hexadecimal digits, equal where results are: of the options that change them, and of a model's bytes.

        A function counts by its name: a changed function under the same name needs `force`.

        >>> resolve_config().hash == resolve_config(ncpus=8, chunk_size=1000).hash
        True
        >>> resolve_config().hash == resolve_config(min_height=20).hash
        False
        """
        said = {name: value for name, value in self.to_dict().items() if TABLE[name].changes}
        for name, value in self.chosen.items():
            if TABLE[name].changes and isinstance(value, str) and os.path.isfile(value):
                said[name] = hashlib.sha256(Path(value).read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps([RESULTS, said], sort_keys=True).encode()).hexdigest()[:32]


def resolve_config(
    given: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    unknown: Literal["error", "note"] | None = None,
    **overrides: Any,
) -> Options:
    """Check options and complete them with their defaults; what was given is not changed.

    Parameters
    ----------
    given : options by name, or a YAML file of them, such as the config.yaml of moseq2-extract
    unknown : "note" only names options that do not exist, "error" refuses them; unless given, those of a file, which
        other tools may read as well, are named, and all others refused
    **overrides : options that win over those of `given`

    Raises
    ------
    RecipeError : options that do not exist (the nearest that does is named), a value of another type, values that
        contradict each other, a pickled `flip_classifier`
    FormatError : a file that is no YAML

    Warns
    -----
    UserWarning : an even size became odd, or an option was set that has no effect

    >>> resolve_config(min_hieght=20)
    Traceback (most recent call last):
      ...
    reelarray.errors.RecipeError: there is no option min_hieght (min_height?): mend the name, or leave it out
    """
    where = ""
    if isinstance(given, str | os.PathLike):
        where, given = f"{os.fspath(given)}: ", read_yaml(given)
    old = given.notes if isinstance(given, Options) else ()
    given = given or {}
    asked = {**given, **overrides}
    strange = [name for name in asked if name not in TABLE]
    refused = [name for name in strange if unknown == "error" or (unknown is None and not (where and name in given))]
    if refused:
        told = ", ".join(f"{name}{_near(name)}" for name in refused)
        raise RecipeError(f"{where}there is no option {told}: mend the name, or leave it out")
    notes = [f"{name} is unknown{_near(name)} and has no effect" for name in strange]
    chosen = {option.name: option.default for option in TABLE.values()}
    for name in asked:
        if name in TABLE:
            chosen[name], said = _check(TABLE[name], asked[name], where)
            notes += said
    notes += _without_effect(chosen)
    notes += _together(chosen, where)
    fresh = [note for note in dict.fromkeys(notes) if note not in old]
    for note in fresh:
        warnings.warn(where + note, UserWarning, stacklevel=2)
    return Options(chosen, (*old, *fresh))


def session_config(
    given: Mapping[str, Any], sessions: Mapping[str, Any], name: str, *, replace: bool | None = None
) -> dict[str, Any]:
    """Options of one recording: those of its folder's name in `sessions`, merged over the common ones.

    Parameters
    ----------
    given : options of all recordings
    sessions : options by name of folder, as in the file of `session_config_path`
    name : of the recording's folder
    replace : take the recording's own options only, as moseq2-extract does; by default where `given` says `compat`

    Raises
    ------
    RecipeError : what is said of the recording are no options

    >>> session_config({"min_height": 10, "max_height": 100}, {"mouse 3": {"max_height": 80}}, "mouse 3")
    {'min_height': 10, 'max_height': 80}
    """
    own = sessions.get(name)
    if own is None:
        return dict(given)
    if not isinstance(own, Mapping):
        raise RecipeError(f"options of {name!r} are {own!r}; names with values were expected, as in 'max_height: 80'")
    return dict(own) if (given.get("compat") if replace is None else replace) else {**given, **own}


def _near(name: str) -> str:
    near = get_close_matches(name.replace("-", "_").lower(), TABLE, 1)
    return f" ({near[0]}?)" if near else ""


def _named(value: Any) -> Any:
    if not callable(value):
        return value
    of = type(value) if not hasattr(value, "__qualname__") else value
    return f"{of.__module__}.{of.__qualname__}"


def _check(option: Option, value: Any, where: str) -> tuple[Any, list[str]]:
    """The value in its one form, and what is to be said of it."""
    name = option.name
    if option.status == "refused":
        _refuse_classifier(name, value, where)
        return None, []
    if option.status == "dead":
        return value, []
    if option.kind == "choice":
        if value not in option.choices:
            told = f"{where}{name} is {value!r}; one of {', '.join(option.choices)} was expected"
            raise RecipeError(told)
        return str(value), []
    check, expected = KINDS[option.kind]
    try:
        found = check(value)
    except (ValueError, TypeError, OverflowError):
        if option.kind == "flip" and str(value).lower().endswith(PICKLES):
            raise RecipeError(where + no_pickles(name, value)) from None
        raise RecipeError(f"{where}{name} is {value!r}; {expected} was expected ({option.meaning})") from None
    if option.kind in ("odd count", "odd size", "medians") and found not in (
        value,
        tuple(value) if _is_list(value) else (value,),
    ):
        return found, [f"{name} {value!r} became {found!r}: a median needs an odd size"]
    return found, []


def _without_effect(chosen: Mapping[str, Any]) -> list[str]:
    why: dict[str, list[str]] = {}
    for name, value in chosen.items():
        option = TABLE[name]
        if option.status == "dead" and not (value is None or str(value) in ("", str(option.default))):
            why.setdefault(option.meaning, []).append(name)
    return [f"{', '.join(names)} ha{'s' if len(names) == 1 else 've'} no effect: {said}" for said, names in why.items()]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str)


def _refuse_classifier(name: str, value: Any, where: str) -> None:
    if value is None or (isinstance(value, str) and value == ""):
        return
    other = f"flip: {value}" if isinstance(value, str) and value.lower().endswith(MODELS) else "flip: motion"
    raise RecipeError(
        f"{where}{name} is {value!r}: a pickled classifier is never loaded, as it can run any code. Take '{other}', "
        "which needs no training; or export the model to ONNX (or its trees to .npz) and name that file as flip; or "
        "pass a function of crops as flip= from Python. Crops to label for a new model are exported by "
        f"export_crops. Leave {name} out of the options"
    )


def _together(chosen: dict[str, Any], where: str) -> list[str]:
    """Check values that belong together; sets the one that follows from another."""
    low, high = chosen["min_height"], chosen["max_height"]
    if high > 65535:
        raise RecipeError(f"{where}max_height is {high}; at most 65535 mm were expected, the largest depth of a camera")
    if low >= high:
        raise RecipeError(f"{where}min_height {low} is not below max_height {high}: give heights in mm that rise")
    lowest, highest = chosen["model_smoothing_clips"]
    if lowest >= highest and (lowest, highest) != (0, 0):
        told = f"model_smoothing_clips are {lowest:g}, {highest:g}; a lower and a higher one, or 0, 0 for none"
        raise RecipeError(f"{where}{told} were expected")
    if chosen["manual_set_depth_range"] and chosen["bg_roi_depth_range"] == "auto":
        raise RecipeError(f"{where}manual_set_depth_range needs bg_roi_depth_range, such as [650, 750]; auto was given")
    notes = []
    if high > 255 and chosen["frame_dtype"] == "uint8":
        chosen["frame_dtype"] = "uint16"
        notes.append(f"frame_dtype became uint16: max_height {high} is above 255")
    if chosen["graduate_walls"] and chosen["dilate_iterations"] < 2:
        notes.append("graduate_walls has no effect: it needs dilate_iterations of 2 or more")
    return notes
