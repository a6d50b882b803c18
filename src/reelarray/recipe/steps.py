"""Steps: a transform of ours by its name, or a function of the user's own by its dotted name, and its keywords."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import signature
from typing import Any

import xarray as xr

import reelarray

from ..errors import RecipeError, RecordingError, ReelError
from .keywords import Keywords

# Where transforms live: recording in, array out.
_MODULES = ("gaps", "signal.")
_NO_RESULT = frozenset(("block",))  # keywords that change no result
OWN_STEPS = "own_steps"  # attribute that tells the user's own steps, which nothing else would


@dataclass(frozen=True)
class Step:
    """One step: `use` names a function, which takes an array and keywords and returns an array."""

    use: str
    keywords: Keywords = field(default_factory=Keywords)

    @property
    def is_own(self) -> bool:
        """Whether the function is the user's."""
        return "." in self.use or ":" in self.use

    def parameters(self) -> dict[str, Any]:
        """What the result depends on, as JSON values."""
        kept = {k: v for k, v in self.keywords.plain().items() if self.is_own or k not in _NO_RESULT}
        return {"use": self.use, **kept}

    def __str__(self) -> str:
        return f"{self.use}({', '.join(f'{k}={v!r}' for k, v in self.keywords.plain().items())})"


def transforms() -> dict[str, str]:
    """Names of our transforms, and the modules they are in.

    >>> "power_spectrum" in transforms(), "write_zarr" in transforms()
    (True, False)
    """
    public = reelarray._PUBLIC.items()
    return {name: module for module, names in public if f"{module}.".startswith(_MODULES) for name in names}


def find_function(use: str, folder: str) -> Callable[..., Any]:
    """The function that a name stands for; modules are looked for beside the recipe, too.

    Raises
    ------
    RecipeError : no such function
    """
    if "." not in use and ":" not in use:
        known = transforms()
        if use not in known:
            near = get_close_matches(use, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise RecipeError(
                f"there is no transform {use!r}; {hint} (a function of your own has a dotted name, such as "
                "'my_steps.despike', from a module beside the recipe or installed)"
            )
        return getattr(reelarray, use)  # type: ignore[no-any-return]
    make_importable(folder)
    found = _imported(use)
    if not callable(found):
        raise RecipeError(f"{use!r} is a {type(found).__name__}; a function was expected")
    try:
        taken = list(signature(found).parameters.values())
    except (TypeError, ValueError):
        raise RecipeError(f"{use!r} does not tell its arguments; wrap it in a function that does") from None
    if not taken or taken[0].kind not in (taken[0].POSITIONAL_ONLY, taken[0].POSITIONAL_OR_KEYWORD):
        raise RecipeError(f"{use!r} takes no array: its first argument should be the array, and the others keywords")
    return found


def make_importable(folder: str) -> None:
    """Let modules beside the recipe be imported, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()


def _imported(use: str) -> Any:
    """An attribute of the longest part of a dotted name that is a module."""
    module_name, _, attribute = use.partition(":")
    names = use.replace(":", ".").split(".")
    if not all(name.isidentifier() for name in names) or len(names) < 2:
        raise RecipeError(f"{use!r} is no name of a function; 'module.function' was expected")
    longest = len(module_name.split(".")) if attribute else len(names) - 1
    module, taken = None, 0
    for count in range(longest, 0, -1) if not attribute else (longest,):
        name = ".".join(names[:count])
        try:
            module, taken = importlib.import_module(name), count
            break
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise RecipeError(f"{use!r}: importing {name} failed: {error}") from error
        except Exception as error:
            raise RecipeError(f"{use!r}: importing {name} failed: {type(error).__name__}: {error}") from error
    if module is None:
        raise RecipeError(
            f"{use!r}: there is no module {names[0] if not attribute else module_name!r}; put it beside the recipe, "
            "or install it where the recipe runs"
        )
    found: Any = module
    for name in names[taken:]:
        if not hasattr(found, name):
            near = get_close_matches(name, dir(found), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{use!r}: {getattr(found, '__name__', found)} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def apply_steps(x: xr.DataArray, steps: Sequence[Step], folder: str) -> xr.DataArray:
    """The result of steps, lazy as they are.

    Raises
    ------
    RecordingError : a step that makes something else than an array; and what the steps raise, with their number
    """
    for number, step in enumerate(steps, 1):
        function = find_function(step.use, folder)
        try:
            made = function(x, **step.keywords.plain())
        except Exception as error:
            if step.is_own and not isinstance(error, ReelError):
                raise RecipeError(
                    f"step {number}, {step}, raised {type(error).__name__}: {error} ({_place(error)})"
                ) from error
            error.add_note(f"in step {number} of the recipe: {step}")
            raise
        if not isinstance(made, xr.DataArray):
            raise RecordingError(
                f"step {number}, {step}, made a {type(made).__name__}; an xarray.DataArray was expected"
            )
        x = made
    own = [step.parameters() for step in steps if step.is_own]
    return x.assign_attrs({OWN_STEPS: own}) if own else x


def _place(error: BaseException) -> str:
    """Where an error was raised: the innermost line of a traceback."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}, in {last.name}"
