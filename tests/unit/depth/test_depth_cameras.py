"""Cameras: told from files and sizes, focal lengths by tan(), intrinsics that win, and lengths in mm."""

from __future__ import annotations

import logging
import math
import pickle

import numpy as np
import pytest

from reelarray.depth.cameras import PROFILES, Camera, camera, to_millimetres
from reelarray.errors import RecordingError


@pytest.mark.parametrize(
    ("kind", "size", "fx", "fy", "crop"),
    [
        ("kinect", (512, 424), 361.6, 367.2, 80),
        ("azure", (640, 576), 417.0, 452.1, 120),
        ("azure", (320, 288), 208.5, 226.0, 120),
        ("azure", (1024, 1024), 295.6, 295.6, 120),
        ("azure", (512, 512), 147.8, 147.8, 120),
        ("realsense", (640, 480), 417.0, 399.4, 80),
    ],
)
def test_profiles_have_the_focal_lengths_of_their_fields_of_view(kind, size, fx, fy, crop):
    found = camera(kind, *size)
    assert (round(found.fx, 1), round(found.fy, 1)) == (fx, fy)
    assert (found.cx, found.cy) == ((size[0] - 1) / 2, (size[1] - 1) / 2)
    assert found.crop == (crop, crop)
    assert found.weights == PROFILES[kind].weights
    assert not found.calibrated
    assert camera("auto", *size) == found


@pytest.mark.parametrize(
    ("path", "size", "kind"),
    [
        ("/data/depth.dat", (640, 480), "kinect"),
        ("session_20240101120000.tar.gz", (512, 424), "kinect"),
        ("session_1.TGZ", (512, 424), "kinect"),
        ("azure.mkv", (512, 424), "azure"),
        ("depth.avi", (512, 424), "kinect"),
        ("depth.avi", (640, 480), "realsense"),
        ("depth.avi", (640, 576), "azure"),
        ("depth.avi", (512, 512), "azure"),
    ],
)
def test_the_file_says_which_camera_else_the_size(path, size, kind):
    assert camera("auto", *size, path=path).name == kind


def test_a_size_of_no_camera_asks_for_the_type():
    with pytest.raises(RecordingError, match=r"depth.avi has pictures of 800 x 600.*camera_type=.*kinect, azure"):
        camera("auto", 800, 600, path="depth.avi")


def test_in_compat_it_is_an_azure_with_a_warning(caplog):
    assert camera("auto", 800, 600, path="depth.avi", compat=True).name == "azure"
    assert "camera_type=" in caplog.text


def test_an_explicit_type_wins_over_the_file_and_says_what_it_assumes(caplog):
    with caplog.at_level(logging.WARNING):
        found = camera("realsense", 512, 424, path="depth.dat")
    assert found.name == "realsense"
    assert found.weights == (10.0, 0.1, 1.0)
    assert "75 x 62" in caplog.text
    assert "intrinsics=" in caplog.text
    assert found.fx == pytest.approx(512 / (2 * math.tan(math.radians(37.5))))


def test_an_unknown_type_names_those_that_are_known():
    with pytest.raises(RecordingError, match=r"camera_type='orbbec'.*auto, kinect, azure, realsense"):
        camera("orbbec", 640, 480)


def test_intrinsics_win_over_the_table():
    given = {"fx": 504.2, "fy": 504.3, "cx": 321.5}
    found = camera("azure", 640, 576, given)
    assert (found.fx, found.fy, found.cx, found.cy) == (504.2, 504.3, 321.5, 287.5)
    assert found.calibrated
    assert given == {"fx": 504.2, "fy": 504.3, "cx": 321.5}
    only_middle = camera("azure", 640, 576, {"cx": 300, "cy": 200})
    assert (only_middle.cx, only_middle.cy, only_middle.calibrated) == (300.0, 200.0, False)


def test_intrinsics_are_enough_for_a_size_of_no_profile(caplog):
    assert camera("kinect", 100, 90, {"fx": 80, "fy": 81}).fx == 80
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"fx": 500}, "belong together"),
        ({"fx": 0, "fy": 500}, "fx=0.*focal length"),
        ({"fx": -5, "fy": 500}, "fx=-5"),
        ({"fx": math.nan, "fy": 500}, "fx=nan"),
        ({"fx": math.inf, "fy": 500}, "fx=inf"),
        ({"fx": "500", "fy": 500}, "fx='500'"),
        ({"fx": True, "fy": 500}, "fx=True"),
        ({"cx": 700}, "cx=700.*within the 640 x 480"),
        ({"cy": -1}, "cy=-1"),
        ({"focal": 500}, "intrinsics has focal; fx, fy, cx, cy"),
        ({"dist": [1, 2, 3]}, "4, 5 or 8"),
        ({"dist": "none"}, "dist='none'"),
        ({"dist": [0, 0, math.nan, 0]}, "4, 5 or 8"),
    ],
)
def test_impossible_intrinsics(given, told):
    with pytest.raises(RecordingError, match=told):
        camera("realsense", 640, 480, given)


def test_a_length_of_100_px_at_the_floor_of_a_kinect():
    x, y = to_millimetres([255.5, 355.5], [211.5, 311.5], 673.0, camera("kinect", 512, 424))
    assert np.diff(x).round(1) == 186.1
    assert np.diff(y).round(1) == 183.3
    assert (x[0], y[0]) == (0.0, 0.0)


def test_missing_places_stay_missing_and_shapes_broadcast():
    x, y = to_millimetres([[np.nan], [3.0]], 2.0, [600.0, 700.0], camera("kinect", 512, 424))
    assert x.shape == y.shape == (2, 2)
    assert np.isnan(x[0]).all()
    assert np.isfinite(x[1]).all()
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    "dist", [(-0.2, 0.05, 0.001, -0.002), (0.1, -0.3, 0.0, 0.0005, 0.1), (0.5, 0.2, 1e-4, 2e-4, 0.01, 0.8, 0.3, 0.05)]
)
def test_the_lens_is_undone(dist):
    cv2 = pytest.importorskip("cv2")
    given = {"fx": 504.0, "fy": 506.0, "cx": 320.0, "cy": 290.0, "dist": dist}
    found = camera("azure", 640, 576, given)
    points = np.random.default_rng(0).uniform((-200, -180, 600), (200, 180, 700), (50, 3))
    matrix = np.array([[504.0, 0, 320], [0, 506, 290], [0, 0, 1]])
    seen = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(dist))[0][:, 0]
    places = np.stack(to_millimetres(*seen.T, points[:, 2], found), 1)
    np.testing.assert_allclose(places, points[:, :2], atol=1e-3)
    straight = np.stack(to_millimetres(*seen.T, points[:, 2], camera("azure", 640, 576, {**given, "dist": [0] * 4})), 1)
    assert np.abs(straight - points[:, :2]).max() > 0.5


def test_cameras_are_values():
    found = camera("kinect", 512, 424, {"fx": 365.0, "fy": 365.0, "dist": [0.1, -0.2, 0, 0]})
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(found) == hash(Camera(**vars(found)))
