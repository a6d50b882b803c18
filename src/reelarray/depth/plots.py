"""Pictures of depth video: the scene, the crops, the way of the animal, its numbers, and whether it looks ahead."""

from .croppictures import plot_crops, plot_heading, save_crops, save_heading
from .scalarpictures import plot_scalars, save_scalars
from .scenepictures import plot_scene, plot_trajectory, save_scene, save_trajectory

__all__ = [
    "plot_crops",
    "plot_heading",
    "plot_scalars",
    "plot_scene",
    "plot_trajectory",
    "save_crops",
    "save_heading",
    "save_scalars",
    "save_scene",
    "save_trajectory",
]
