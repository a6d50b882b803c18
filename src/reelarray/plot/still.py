"""Pictures that are only saved: figures of an exact size in pixels, whose colours are looked up, not interpolated."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..sinks.atomic import writing

DPI = 100
ROWS = 64  # of pixels that are coloured at a time
_DRAWING = threading.Lock()  # a picture takes one core and some 20 MB while it is drawn: one after the other


def still_figure(width_px: int, height_px: int) -> Figure:
    """A figure of so many pixels, without pyplot."""
    figure = Figure(figsize=(width_px / DPI + 1e-9, height_px / DPI + 1e-9), dpi=DPI)  # never a pixel less by rounding
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a figure into a PNG file, whole or not at all, and empty it."""
    with _DRAWING, writing(path) as temporary:
        figure.savefig(temporary, format="png", metadata=dict(metadata))
    large: list[Any] = [drawn for ax in figure.axes for drawn in (*ax.images, *ax.collections)]
    large.append(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    figure.clear()
    for each in large:  # their parts refer to each other: 10 MB would wait to be collected
        vars(each).clear()


class Looked(Artist):
    """In place of an image or a mesh: the colour of each pixel of the Axes, by the value that lies under its middle.

    What matplotlib shows, without its picture of four floats a pixel, four times over: 90 MB for 1400 x 600 pixels.
    """

    def __init__(self, drawn: Any) -> None:
        super().__init__()
        self.drawn, self.ax = drawn, drawn.axes
        self.set_zorder(drawn.get_zorder())

    @classmethod
    def replace(cls, ax: Any) -> None:
        """Have all images and meshes of some Axes looked up."""
        for drawn in (*ax.images, *ax.collections):
            drawn.set_visible(False)
            ax.add_artist(cls(drawn))

    def draw(self, renderer: Any) -> None:
        """Paint the pixels of the Axes."""
        left, bottom, right, top = (round(v) for v in self.ax.bbox.extents)
        to_data = self.ax.transData.inverted()
        x = to_data.transform([(p + 0.5, bottom) for p in range(left, right)])[:, 0]
        y = to_data.transform([(left, p + 0.5) for p in range(bottom, top)])[:, 1]
        columns, rows = _edges(self.drawn)
        column = np.clip(np.searchsorted(columns, x, "right") - 1, 0, len(columns) - 2)
        row = np.clip(np.searchsorted(rows, y, "right") - 1, 0, len(rows) - 2)
        values = self.drawn.get_array().reshape(len(rows) - 1, len(columns) - 1)
        colours = np.empty((len(row), len(column), 4), np.uint8)
        for a in range(0, len(row), ROWS):
            colours[a : a + ROWS] = self.drawn.to_rgba(values[row[a : a + ROWS]][:, column], bytes=True)
        renderer.draw_image(renderer.new_gc(), left, bottom, colours)


def _edges(drawn: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of the columns and rows of an image or a mesh."""
    if not hasattr(drawn, "get_extent"):
        corners = drawn.get_coordinates()
        return corners[0, :, 0], corners[:, 0, 1]
    rows, columns = drawn.get_array().shape
    left, right, bottom, top = drawn.get_extent()
    return np.linspace(left, right, columns + 1), np.linspace(bottom, top, rows + 1)
