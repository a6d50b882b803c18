"""What workers need to know of a recipe. Imports distributed: only by those who have a client."""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from .steps import make_importable


class BesideRecipe(WorkerPlugin):
    """Modules beside a recipe can be imported by all workers, also those that come later."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self, worker: Any) -> None:
        """Called by each worker as it starts."""
        make_importable(self.folder)
