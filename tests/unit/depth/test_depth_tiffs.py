"""Scaled TIFF pictures: the factor is in the description, files are whole, and nothing else is taken for one."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from reelarray.depth.tiffs import read_described, read_tiff, write_tiff
from reelarray.errors import FormatError, MissingPackage

tifffile = pytest.importorskip("tifffile")


@pytest.fixture
def depth():
    random = np.random.default_rng(0)
    return random.integers(0, 2001, (30, 40)) / 2


def test_values_are_scaled_by_a_whole_factor(tmp_path, depth):
    depth[0, 0] = 1000.0
    path = write_tiff(tmp_path / "bground.tiff", depth)
    with tifffile.TiffFile(path) as file:
        pixels, described = file.pages[0].asarray(), json.loads(file.pages[0].description)
    assert pixels.dtype == np.uint16
    assert int(described["scale_factor"]) == 65 == int(65535 / 1000)
    assert described["shape"] == [30, 40]
    assert np.array_equal(pixels, np.rint(depth * 65))
    assert np.abs(read_tiff(path) - depth).max() <= 0.5 / 65 + 1e-9
    assert np.array_equal(np.rint(read_tiff(path) * 2) / 2, depth)


def test_two_limits_are_an_affine_map(tmp_path):
    path = write_tiff(tmp_path / "first_frame.tiff", np.array([[600, 650], [675, 800]]), limits=(650, 750))
    pixels = tifffile.imread(path)
    assert pixels.tolist() == [[0, 0], [16384, 65535]]
    assert read_described(path)[1]["scale_factor"] == "(650.0, 750.0)"
    np.testing.assert_allclose(read_tiff(path), [[650, 650], [675, 750]], atol=0.001)


@pytest.mark.parametrize("said", ["(650, 750)", "[650, 750.0]", [650, 750], "6.5e2, 750"])
def test_limits_as_others_write_them(tmp_path, said):
    pixels = np.array([[0, 65535]], np.uint16)
    described = json.dumps({"scale_factor": said})
    tifffile.imwrite(tmp_path / "a.tiff", pixels, description=described, metadata=None)
    np.testing.assert_allclose(read_tiff(tmp_path / "a.tiff"), [[650, 750]])


def test_a_mask_is_ones_and_zeros(tmp_path):
    mask = np.eye(5, dtype=bool)
    path = write_tiff(tmp_path / "roi_00.tiff", mask)
    assert tifffile.imread(path).max() == 65535
    assert np.array_equal(read_tiff(path) > 0, mask)
    assert np.array_equal(read_tiff(path), mask)


def test_all_zeros(tmp_path):
    assert not read_tiff(write_tiff(tmp_path / "a.tiff", np.zeros((3, 4)))).any()


def test_more_can_be_said(tmp_path, depth):
    path = write_tiff(tmp_path / "a.tiff", depth, about={"fingerprint": {"every": 500}})
    assert read_described(path)[1]["fingerprint"] == {"every": 500}


def test_plain_pictures_are_read_as_they_stand(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tiff", pixels)
    assert np.array_equal(read_tiff(tmp_path / "a.tiff"), pixels)
    tifffile.imwrite(tmp_path / "b.tiff", pixels, description="[1, 2]", metadata=None)
    assert np.array_equal(read_tiff(tmp_path / "b.tiff"), pixels)


@pytest.mark.parametrize("said", ["none", "0", "-3", "(2, 1)", "(1, 2, 3)", "__import__('os').getcwd()"])
def test_a_scale_that_is_none(tmp_path, said):
    described = json.dumps({"scale_factor": said})
    tifffile.imwrite(tmp_path / "a.tiff", np.zeros((2, 2), "u2"), description=described, metadata=None)
    with pytest.raises(FormatError, match=r"a.tiff says scale_factor="):
        read_tiff(tmp_path / "a.tiff")


def test_what_is_no_tiff_of_one_channel(tmp_path):
    (tmp_path / "a.tiff").write_bytes(b"no picture at all")
    with pytest.raises(FormatError, match=r"a.tiff is no TIFF"):
        read_tiff(tmp_path / "a.tiff")
    whole = write_tiff(tmp_path / "b.tiff", np.ones((50, 60))).read_bytes()
    (tmp_path / "c.tiff").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"c.tiff"):
        read_tiff(tmp_path / "c.tiff")
    tifffile.imwrite(tmp_path / "d.tiff", np.zeros((5, 6, 3), "u1"))
    with pytest.raises(FormatError, match=r"d.tiff has pixels"):
        read_tiff(tmp_path / "d.tiff")
    with pytest.raises(FileNotFoundError):
        read_tiff(tmp_path / "nothing.tiff")


@pytest.mark.parametrize("image", [np.full((2, 2), -1.0), np.full((2, 2), np.nan), np.zeros(4), np.zeros((2, 2, 2))])
def test_a_failure_leaves_what_was_there(tmp_path, image):
    path = write_tiff(tmp_path / "a.tiff", np.ones((2, 2)))
    with pytest.raises(ValueError, match="finite values from 0 on"):
        write_tiff(path, image)
    assert read_tiff(path).tolist() == [[1, 1], [1, 1]]
    assert os.listdir(tmp_path) == ["a.tiff"]


def test_equal_pictures_make_equal_files(tmp_path, depth):
    first, second = (write_tiff(tmp_path / name, depth).read_bytes() for name in ("a.tiff", "b.tiff"))
    assert first == second


def test_without_tifffile_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(MissingPackage, match=r"reelarray\[depth\]"):
        write_tiff(tmp_path / "a.tiff", np.ones((2, 2)))
    with pytest.raises(MissingPackage, match=r"reelarray\[depth\]"):
        read_tiff(tmp_path / "a.tiff")
    assert os.listdir(tmp_path) == []
