"""Names of the scalars of a frame, and what each of them is."""

from __future__ import annotations

# The scalars that every file has, as downstream tools expect them, and those that are ours.
SCALARS = {
    "angle": "orientation of the animal, rad, unwrapped; y points down, so that it is -angle in the image",
    "area_mm": "area of the animal, mm2",
    "area_px": "pixels of the animal",
    "centroid_x_mm": "position, mm",
    "centroid_x_px": "position, px, column of the crop of the arena",
    "centroid_y_mm": "position, mm",
    "centroid_y_px": "position, px, row of the crop of the arena",
    "height_ave_mm": "mean height of the animal above the floor, mm",
    "length_mm": "length of the main axis, mm",
    "length_px": "length of the main axis, px",
    "velocity_2d_mm": "way since the frame before, mm a frame",
    "velocity_2d_px": "way since the frame before, px a frame",
    "velocity_3d_mm": "way since the frame before, with height, mm a frame",
    "velocity_3d_px": "way since the frame before, with height (mm), px a frame",
    "velocity_theta": "direction of travel, rad",
    "width_mm": "length of the minor axis, mm",
    "width_px": "length of the minor axis, px",
}
EXTRA_SCALARS = {
    "speed_2d_mm_s": "speed, mm s-1, of measured times",
    "speed_3d_mm_s": "speed with height, mm s-1, of measured times",
    "angular_speed_rad_s": "angular speed, rad s-1, of measured times",
}


def units(name: str) -> str:
    """Units of a scalar, as its name says.

    >>> units("speed_2d_mm_s"), units("area_mm"), units("angle"), units("width_px")
    ('mm s-1', 'mm2', 'rad', 'px')
    """
    if name == "area_mm":
        return "mm2"
    for end, said in (("_mm_s", "mm s-1"), ("_rad_s", "rad s-1"), ("_mm", "mm"), ("_px", "px")):
        if name.endswith(end):
            return said
    return "rad" if name in ("angle", "velocity_theta") else "1"
