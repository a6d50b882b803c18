"""Recipes: a run written down once, checked before anything is opened, and run as often as it takes."""

from .recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe"]
