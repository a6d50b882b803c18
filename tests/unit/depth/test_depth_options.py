"""Options: complete, checked, frozen; results depend on those that the hash does."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from reelarray.depth.optionkinds import KINDS
from reelarray.depth.options import Options, resolve_config, session_config
from reelarray.depth.optiontable import TABLE
from reelarray.depth.yamlfiles import read_yaml, write_yaml
from reelarray.errors import RecipeError

# Values of the tool whose configurations are read, by the specification of its format.
DEFAULTS = {
    "bg_roi_index": 0, "bg_roi_depth_range": (650, 750), "bg_roi_gradient_threshold": 3000, "noise_tolerance": 30,
    "bg_roi_dilate": (10, 10), "bg_roi_erode": (1, 1), "dilate_iterations": 1, "erode_iterations": 0, "min_height": 10,
    "max_height": 120, "frame_dtype": "uint8", "spatial_filter_size": (3,), "temporal_filter_size": (0,),
    "tail_filter_iters": 1, "tail_filter_size": (9, 9), "tail_filter_shape": "ellipse", "cable_filter_iters": 0,
    "cable_filter_size": (5, 5), "cable_filter_shape": "rectangle", "use_cc": True, "use_tracking_model": False,
    "tracking_model_ll_threshold": -100, "tracking_model_mask_threshold": -16, "tracking_model_ll_clip": -100,
    "tracking_model_init": "raw", "model_smoothing_clips": (0, 0), "centroid_hampel_span": 0, "centroid_hampel_sig": 3,
    "flip_classifier_smoothing": 51, "detected_true_depth": "auto", "camera_type": "auto", "output_dir": "proc",
    "memory": "5GB", "wall_time": "3:00:00", "fps": 30, "threads": 8, "mapping": "DEPTH",
}  # fmt: skip


def test_defaults() -> None:
    options = resolve_config()
    assert {name: options[name] for name in DEFAULTS} == DEFAULTS
    assert list(options) == list(TABLE)
    assert options.notes == ()


@pytest.mark.parametrize("option", TABLE.values(), ids=lambda o: o.name)
def test_every_option_has_a_kind_that_takes_its_default(option) -> None:
    assert option.meaning
    if option.kind == "choice":
        assert option.default in option.choices
    elif option.status == "used":
        assert KINDS[option.kind][0](option.default) == option.default
        assert type(KINDS[option.kind][0](option.default)) is type(option.default)


def test_a_file_of_all_options_comes_back(tmp_path: Path) -> None:
    options = resolve_config(min_height=20, tail_filter_size=[11, 7], intrinsics={"fx": 360, "fy": 361.5})
    path = write_yaml(tmp_path / "config.yaml", options.to_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = resolve_config(path)
    assert dict(again) == dict(options)
    assert again.hash == options.hash
    assert read_yaml(path)["tail_filter_size"] == [11, 7]


def test_what_was_given_is_not_changed_and_options_travel() -> None:
    given = {"spatial_filter_size": [4], "bg_roi_index": [1]}
    with pytest.warns(UserWarning, match=r"spatial_filter_size \[4\] became \(5,\)"):
        options = resolve_config(given)
    assert given == {"spatial_filter_size": [4], "bg_roi_index": [1]}
    assert options["bg_roi_index"] == 1
    assert pickle.loads(pickle.dumps(options)) == options
    with pytest.raises(AttributeError):
        options.chosen = {}
    with pytest.raises(TypeError):
        options["min_height"] = 3


def test_overrides_win_and_notes_are_given_once() -> None:
    with pytest.warns(UserWarning, match="chunk_overlap has no effect: results do not depend on chunking"):
        options = resolve_config({"chunk_overlap": 60, "min_height": 5}, min_height=7)
    assert options["min_height"] == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = resolve_config(options, max_height=100)
    assert again.notes == options.notes
    assert (again["min_height"], again["max_height"]) == (7, 100)


def test_dead_options_at_their_default_are_not_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_config({"chunk_overlap": 0, "pixel_format": "gray16le", "finfo": None, "klags": None, "get_cmd": True})


def test_options_of_later_tools_are_named_together() -> None:
    with pytest.warns(UserWarning, match="no effect") as found:
        resolve_config({"rank": 25, "gaussfilter_space": [1.5, 1]})
    assert [str(w.message) for w in found] == [
        "gaussfilter_space, rank have no effect: of the tools that come after extraction"
    ]


@pytest.mark.parametrize("value", [2, 50, np.int64(4)])
def test_even_sizes_of_medians_become_odd(value) -> None:
    with pytest.warns(UserWarning, match="became"):
        options = resolve_config(flip_classifier_smoothing=value, temporal_filter_size=[value, 0])
    assert options["flip_classifier_smoothing"] == value + 1
    assert options["temporal_filter_size"] == (value + 1, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min-height": 3}, r"min-height \(min_height\?\)"),
        ({"tail_filter_iter": 3, "qqqq": 1}, r"tail_filter_iter \(tail_filter_iters\?\), qqqq:"),
        ({"use_cc": "maybe"}, "use_cc is 'maybe'; true or false was expected"),
        ({"use_cc": 1}, "use_cc is 1"),
        ({"min_height": True}, "a whole number from 0 was expected"),
        ({"min_height": 10.5}, "min_height is 10.5"),
        ({"min_height": -1}, "min_height is -1"),
        ({"fps": "30"}, "fps is '30'; a number above 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"noise_tolerance": 0}, "noise_tolerance is 0"),
        ({"crop_size": 80}, r"such as \[80, 80\]"),
        ({"crop_size": [80, 80, 80]}, "crop_size"),
        ({"crop_size": [0, 80]}, "crop_size"),
        ({"camera_type": "k4a"}, "one of auto, kinect, azure, realsense was expected"),
        ({"frame_dtype": "int8"}, "one of uint8, uint16"),
        ({"intrinsics": {"fx": 360}}, "intrinsics"),
        ({"intrinsics": {"fx": 360, "fy": -1}}, "intrinsics"),
        ({"bg_roi_depth_range": [750, 650]}, "two rising numbers"),
        ({"bg_roi_index": []}, "bg_roi_index"),
        ({"flip": "model.h5"}, "a file .onnx or .npz"),
        ({"min_height": 120}, "min_height 120 is not below max_height 120"),
        ({"model_smoothing_clips": [-150, -300]}, "a lower and a higher one"),
        ({"manual_set_depth_range": True, "bg_roi_depth_range": "auto"}, "needs bg_roi_depth_range"),
        ({"seed": float("inf")}, "seed is inf"),
    ],
)
def test_impossible_values_are_named(given, said) -> None:
    with pytest.raises(RecipeError, match=said):
        resolve_config(given)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "config.yaml", {"min_hight": 3})
    with pytest.raises(RecipeError, match=r"config\.yaml: there is no option min_hight"):
        resolve_config(path, unknown="error")


def test_unknown_options_of_a_file_are_named_and_others_refused(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "config.yaml", {"min_hight": 3, "max_height": 80})
    with pytest.warns(UserWarning, match=r"config\.yaml: min_hight is unknown \(min_height\?\)"):
        found = resolve_config(path)
    assert "min_hight" not in found
    assert found["max_height"] == 80
    with pytest.raises(RecipeError, match=r"there is no option max_hight"):
        resolve_config(path, max_hight=3)
    with pytest.warns(UserWarning, match="min_hight is unknown"):
        assert resolve_config({"min_hight": 3}, unknown="note")["min_height"] == 10


@pytest.mark.parametrize("given", ["/models/flip.pkl", "flip.p", "model.onnx", 3])
def test_a_pickled_classifier_is_refused(given) -> None:
    with pytest.raises(RecipeError, match="never loaded") as error:
        resolve_config(flip_classifier=given)
    for way in ("motion" if given != "model.onnx" else "flip: model.onnx", "ONNX", "function"):
        assert way in str(error.value)


def test_no_classifier_is_no_classifier() -> None:
    assert resolve_config({"flip_classifier": None})["flip_classifier"] is None
    assert resolve_config({"flip_classifier": ""})["flip_classifier"] is None


def test_heights_above_a_byte_need_two() -> None:
    with pytest.warns(UserWarning, match="frame_dtype became uint16"):
        assert resolve_config(max_height=300)["frame_dtype"] == "uint16"


@pytest.mark.parametrize("option", [o for o in TABLE.values() if o.status == "used"], ids=lambda o: o.name)
def test_the_hash_depends_on_what_changes_results(option) -> None:
    other = {
        "flag": not option.default, "text": "other", "text or none": "other", "text or number": "other",
        "texts": (".avi",), "path or none": "/other", "odd size": 99, "two counts": (1, 2), "two sizes": (3, 3),
        "two sizes or none": (3, 3), "medians": (7,), "three numbers or none": (1, 2, 3), "two numbers": (-200, -100),
        "range or auto": (600, 700), "intrinsics": {"fx": 1, "fy": 1}, "compat": "strict", "flip": "shape",
        "number or auto": 600, "indices": (0, 1), "number": 1234.5,
        "choice": next((c for c in option.choices if c != option.default), None),
    }.get(option.kind, 77)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = resolve_config({option.name: other}).hash != resolve_config().hash
    assert changed == option.changes


def test_the_hash_sees_inside_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(b"one")
    first = resolve_config(flip=path)
    before = first.hash
    path.write_bytes(b"two")
    assert first.hash != before
    assert first["flip"] == str(path)


def test_functions_are_named() -> None:
    options = resolve_config(flip=np.median)
    assert options["flip"] is np.median
    assert options.to_dict()["flip"] == "numpy.median"
    assert options.hash != resolve_config(flip=np.mean).hash


def test_options_of_one_recording() -> None:
    sessions = {"a": {"max_height": 80}, "b": None, "c": [1]}
    assert session_config({"min_height": 5}, sessions, "a") == {"min_height": 5, "max_height": 80}
    assert session_config({"min_height": 5}, sessions, "b") == {"min_height": 5}
    assert session_config({"min_height": 5}, sessions, "other") == {"min_height": 5}
    assert session_config({"min_height": 5, "compat": True}, sessions, "a") == {"max_height": 80}
    with pytest.raises(RecipeError, match="'c'"):
        session_config({}, sessions, "c")


def test_a_mapping_in_every_way() -> None:
    options = resolve_config()
    assert isinstance(options, Options)
    assert len(options) == len(TABLE)
    assert {**options}["min_height"] == 10
