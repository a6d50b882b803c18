"""Numbers of each frame, and their units."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from reelarray.depth.cameras import camera
from reelarray.depth.scalars import SCALARS, scalars

KINECT = camera("kinect", 512, 424)
NAN = math.nan


def of(x=(100.0,), y=(80.0,), **other):  # type: ignore[no-untyped-def]
    """Scalars of an animal of 60 x 30 px, 40 mm high, on a floor at 673 mm, at 30 frames a second."""
    x, y = np.array(x, float), np.array(y, float)
    features = {"angle": 0.0, "major": 60.0, "minor": 30.0, "area": 1400.0, "height": 40.0}
    features = {name: np.broadcast_to(other.pop(name, value), x.shape) for name, value in features.items()}
    settings = {"camera": KINECT, "true_depth": 673.0, "origin": (106, 49), "times_ms": None, "rate": 30.0} | other
    return scalars(x, y, **features, **settings)


def test_all_names_are_there_with_units_and_a_description() -> None:
    found = of([1, 2, 3], [1, 2, 3])
    assert list(found) == list(SCALARS)
    assert len(SCALARS) == 20
    assert all(values.dtype == np.float32 and values.shape == (3,) for values in found.values())
    assert SCALARS["speed_2d_mm_s"][0] == "mm s-1"
    assert all(said for _, said in SCALARS.values())


def test_positions_are_those_of_the_full_frame_at_the_height_of_the_back() -> None:
    found = of()
    depth = 673 - 40
    assert found["centroid_x_mm"][0] == pytest.approx((206 - 255.5) * depth / KINECT.fx, rel=1e-6)
    assert found["centroid_y_mm"][0] == pytest.approx((129 - 211.5) * depth / KINECT.fy, rel=1e-6)
    assert found["centroid_x_px"][0] == 100
    assert found["area_mm"][0] == pytest.approx(1400 * depth**2 / (KINECT.fx * KINECT.fy), rel=1e-6)


def test_a_hundred_pixels_on_the_floor_are_186_mm() -> None:
    found = of(major=100.0, height=0.0, angle=[0.0])
    assert found["length_mm"][0] == pytest.approx(186.1, abs=0.1)
    assert of(major=100.0, height=0.0, angle=[math.pi / 2])["length_mm"][0] == pytest.approx(183.3, abs=0.1)


def test_lengths_follow_the_axis_and_widths_stand_across() -> None:
    wide = SimpleNamespace(fx=100.0, fy=50.0, cx=0.0, cy=0.0, distortion=())
    turned = of(angle=[-math.pi / 2], camera=wide, height=73.0)  # along y: 6 mm a px across, 12 down
    assert turned["length_mm"][0] == pytest.approx(60 * 12)
    assert turned["width_mm"][0] == pytest.approx(30 * 6)
    slanted = of(angle=[-math.pi / 4], camera=wide, height=73.0)
    assert slanted["length_mm"][0] == pytest.approx(60 * math.hypot(6, 12) / math.sqrt(2))


def test_differences_a_frame_and_a_second() -> None:
    found = of([0, 3, 3], [0, 4, 4], height=[40.0, 52.0, 52.0], angle=[0.0, 0.1, 0.1])
    assert found["velocity_2d_px"].tolist() == [0, 5, 0]
    assert found["velocity_3d_px"].tolist() == [0, 13, 0]
    assert found["speed_2d_mm_s"][1] == pytest.approx(30 * found["velocity_2d_mm"][1], rel=1e-6)
    assert found["speed_3d_mm_s"][1] == pytest.approx(30 * found["velocity_3d_mm"][1], rel=1e-6)
    assert found["angular_speed_rad_s"][1] == pytest.approx(3, rel=1e-6)
    assert found["velocity_theta"][0] == 0


def test_direction_of_travel() -> None:
    up_and_left = of([50, 40], [50, 40])
    assert up_and_left["velocity_theta"][1] == pytest.approx(math.atan2(-10 / KINECT.fy, -10 / KINECT.fx), rel=1e-6)


@pytest.mark.parametrize(("ms", "periods"), [(33.3, 1), (66.0, 2), (204.0, 6), (1.0, 1)])
def test_across_a_gap_a_difference_is_shared_by_the_periods_that_went_by(ms: float, periods: int) -> None:
    found = of([0, 30], [0, 0], times_ms=np.array([500.0, 500.0 + ms]))
    assert found["velocity_2d_px"][1] == pytest.approx(30 / periods)
    way = found["velocity_2d_mm"][1] * periods
    assert found["speed_2d_mm_s"][1] == pytest.approx(way / (ms / 1000), rel=1e-6)


def test_an_axis_that_is_read_the_other_way_round_does_not_turn() -> None:
    found = of([0, 0, 0], [0, 0, 0], angle=[0.2, 0.2 + math.pi, 0.3])
    np.testing.assert_allclose(found["angular_speed_rad_s"], [0, 0, 3], atol=1e-5)


def test_without_an_animal_numbers_are_missing_and_so_are_differences_beside_them() -> None:
    lost = {name: [1.0, NAN, 1.0, 1.0] for name in ("angle", "major", "minor", "height")}
    found = of([0, NAN, 0, 3], [0, NAN, 0, 4], **lost, area=[9, 0, 9, 9])
    for name, values in found.items():
        assert np.isnan(values[1]), name
        assert not np.isnan(values[[0, 3]]).any(), name
        assert np.isnan(values[2]) == name.startswith(("velocity", "speed", "angular")), name


def test_a_crop_without_pixels_has_no_height() -> None:
    found = of(area=[0.0], height=[NAN])
    assert np.isnan(found["height_ave_mm"][0])
    assert found["area_px"][0] == 0
    assert of(area=[0.0], height=[NAN], compat=True)["height_ave_mm"][0] == 0


def test_one_frame_of_lead_is_for_differences_only() -> None:
    x, y = np.array([1.0, 5, 2, 8]), np.array([0.0, 1, 1, 3])
    whole = of(x, y, times_ms=np.array([0.0, 33, 66, 133]))
    part = of(x[1:], y[1:], times_ms=np.array([33.0, 66, 133]), lead=1)
    for name in SCALARS:
        assert part[name].tobytes() == whole[name][2:].tobytes(), name


def test_no_frames_have_no_numbers() -> None:
    assert all(values.shape == (0,) for values in of([], []).values())


def test_the_existing_tool_ignores_gaps_cameras_and_the_origin() -> None:
    found = of([256, 266], [212, 212], compat=True, times_ms=np.array([0.0, 500.0]), height=[40.0, 40.0])
    assert found["centroid_x_mm"][1] == pytest.approx(673 * 10 / 415.52, rel=1e-4)
    assert found["velocity_2d_px"][1] == 10
    assert found["area_mm"][0] == pytest.approx(1400 * (673 / 415.52 + 673 / 404.89) / 2, rel=1e-4)
    assert found["width_mm"][0] == pytest.approx(30 * 673 / 404.89, rel=1e-4)
    assert found["length_mm"][0] == pytest.approx(60 * 673 / 415.52, rel=1e-4)
    other = of([256, 266], [212, 212], compat=True, camera=camera("azure", 640, 576), origin=(0, 0))
    assert (other["centroid_x_mm"] == found["centroid_x_mm"]).all()


def test_equal_to_the_reference(shared) -> None:
    with np.load(shared / "data/golden/depth/golden200.npz", allow_pickle=False) as file:
        expected = {name: file[f"scalar_{name}"] for name in SCALARS if f"scalar_{name}" in file}
        position, axis = file["feat_centroid"], file["feat_axis_length"]
        angle, depth = file["feat_orientation"], float(file["true_depth"])
    found = scalars(
        *position.T, angle, *axis.T, expected["area_px"], expected["height_ave_mm"],
        camera=KINECT, true_depth=depth, origin=(106, 49), times_ms=None, rate=30, compat=True,
    )  # fmt: skip
    assert len(expected) == 17
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=0, err_msg=name)
