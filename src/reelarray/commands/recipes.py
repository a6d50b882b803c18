"""What `reel recipe` does: begin one, check one."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..cli.codes import OK
from ..errors import RecipeError
from ..recipe import load_recipe
from ..recipe.template import template
from ..sinks.atomic import writing


def init(arguments: argparse.Namespace) -> int:
    """`reel recipe init [PATH]`: a recipe to begin with."""
    path = Path(arguments.path)
    if path.exists() and not arguments.force:
        raise RecipeError(f"{path} is there already; pass --force to replace it, or another path")
    with writing(path) as temporary:
        temporary.write_text(template(each=arguments.each), encoding="utf-8")
    print(f"written   {path}: change the paths in it, then: reel run {path} --dry-run")
    return OK


def check(arguments: argparse.Namespace) -> int:
    """`reel recipe check PATH`: whether it can be carried out, as far as that shows without recordings."""
    recipe = load_recipe(arguments.path)
    steps = " -> ".join(step.use for step in recipe.steps) or "nothing but writing"
    print(f"{arguments.path} is a recipe: {steps} -> {recipe.output['path']}")
    return OK
