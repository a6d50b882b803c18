"""Recipes: a run written down once, checked before anything is opened, and run as often as it takes."""

from .recipe import Recipe, load_recipe
from .report import Report
from .run import run_recipe

__all__ = ["Recipe", "Report", "load_recipe", "run_recipe"]
