"""Classifiers of crops: what says how likely an animal faces the wrong way, checked; none of them is unpickled."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RecipeError, RecordingError
from .cropping import half_turn

Classifier = Callable[[np.ndarray], Any]  # crops (n, h, w) of heights -> probabilities that they are flipped (n,)

PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".jl", ".sav")


def classifier(flip: Classifier | str | os.PathLike[str], crop_size: tuple[int, int]) -> Classifier:
    """What `flip` names, ready to be called: a function as it is, an .onnx file, or an .npz file of trees.

    Parameters
    ----------
    flip : a function, or a path
    crop_size : rows and columns of the crops that it will get

    Raises
    ------
    RecipeError : a pickle, or a file of another type, or none
    RecordingError : a classifier of crops of another size
    FormatError : a file that is no such model
    MissingPackage : an .onnx file, without onnxruntime
    """
    if callable(flip):
        found: Classifier = flip
    else:
        path = os.fspath(flip)
        if path.lower().endswith(PICKLES):
            raise RecipeError(no_pickles("flip", path))
        if not path.lower().endswith((".onnx", ".npz")):
            what = "motion, shape, a function of crops, or a path that ends in .onnx or .npz, was expected"
            raise RecipeError(f"flip={path!r} was given; {what}")
        if not os.path.isfile(path):
            raise RecipeError(f"flip={path!r}: there is no such file; mend the path, or take flip='motion'")
        if path.lower().endswith(".onnx"):
            from .onnxmodels import read_onnx

            found = read_onnx(path)
        else:
            from .trees import read_trees

            found = read_trees(path)
    _check_size(getattr(found, "crop_size", None), crop_size, flip)
    return found


def no_pickles(option: str, value: object) -> str:
    """What to say of a pickled classifier."""
    return (
        f"{option} is {str(value)!r}: a pickled classifier is never loaded, as it can run any code. "
        "Take flip='motion', which needs no training; or load it yourself, where you trust it, and write its trees "
        "with write_trees, for flip='trees.npz'; or export it to ONNX, for flip='model.onnx'; or pass "
        "flip=trusted_classifier(model), or any function of crops. export_crops writes crops to label for a new model"
    )


def _check_size(own: Any, crop_size: tuple[int, int], flip: Any) -> None:
    """A classifier may say the crops that it takes: (rows, columns), or only the number of pixels."""
    if own is None:
        return
    pixels = isinstance(own, int | np.integer)
    if (own == crop_size[0] * crop_size[1]) if pixels else (tuple(own) == tuple(crop_size)):
        return
    takes = f"{own} px" if pixels else f"{own[0]} x {own[1]} px"
    raise RecordingError(
        f"flip={_named(flip)} takes crops of {takes}, and the crops are {crop_size[0]} x {crop_size[1]} px (rows x "
        "columns): pass the crop_size= that it was trained with, or a classifier for these"
    )


def _named(flip: Any) -> str:
    return repr(flip) if isinstance(flip, str | os.PathLike) else getattr(flip, "__name__", type(flip).__name__)


def probabilities(
    classify: Classifier, crops: np.ndarray, half_turns: np.ndarray | None = None, found: np.ndarray | None = None
) -> np.ndarray:
    """Ask a classifier: heights (n, h, w) -> (n,) float64, how likely each crop is flipped; NaN without an animal.

    Parameters
    ----------
    classify : called with the crops that have an animal, however many they are; what it says of one must not depend
        on the others
    half_turns : of each frame, where crops were made at the orientation before it was unwrapped: odd ones are turned
    found : frames with an animal; those with any height unless given

    Raises
    ------
    RecordingError : not one number from 0 to 1 for each crop

    >>> crops = np.zeros((3, 2, 2), np.uint8)
    >>> crops[:2, 0, 0] = 40
    >>> probabilities(lambda crops: crops[:, 0, 0] / 100, crops, np.array([0, 1, 1])).tolist()
    [0.4, 0.0, nan]
    """
    crops = np.asarray(crops)
    there = np.asarray(crops.any((1, 2)) if found is None else found, bool)
    out = np.full(len(crops), np.nan)
    asked = crops[there]
    if not len(asked):
        return out
    if half_turns is not None:
        asked = half_turn(asked, np.asarray(half_turns)[there] & 1)
    out[there] = _checked(classify(asked), len(asked), classify)
    return out


def _checked(said: Any, count: int, classify: Classifier) -> np.ndarray:
    what = f"flip={_named(classify)} was given {count} crops; {count} numbers from 0 to 1 were expected"
    try:
        values = np.asarray(said, float)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{what}, and a {type(said).__name__} came back that is none ({error})") from error
    if values.shape == (count, 1):
        values = values[:, 0]
    if values.shape != (count,):
        more = ": of two classes return the probability of the second alone" if values.shape == (count, 2) else ""
        raise RecordingError(f"{what}, and an array of shape {values.shape} came back{more}")
    if np.isnan(values).any():
        raise RecordingError(f"{what}, and {np.isnan(values).sum()} of them are NaN: say 0.5 where nothing is known")
    if values.min() < 0 or values.max() > 1:
        raise RecordingError(
            f"{what}, and they are from {values.min():g} to {values.max():g}: return probabilities, not scores"
        )
    return values


@dataclass(frozen=True, eq=False)
class TrustedClassifier:
    """A model of somebody who trusts it, already in memory: see `trusted_classifier`."""

    model: Any
    crop_size: tuple[int, int] | int | None

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """(n, h, w) -> (n,)"""
        said = np.asarray(self.model.predict_proba(crops.reshape(len(crops), -1)), float)
        classes = list(getattr(self.model, "classes_", (False, True)))
        if said.ndim != 2 or said.shape[1] != 2 or len(classes) != 2:
            raise RecordingError(
                f"{type(self.model).__name__} gave an array of shape {said.shape} for classes {classes}; two columns "
                "were expected, of the classes not flipped and flipped, in this order"
            )
        return said[:, 1]


def trusted_classifier(model: Any, crop_size: tuple[int, int] | None = None) -> TrustedClassifier:
    """An object with `predict_proba`, such as one of scikit-learn, as a `flip=` of extractions.

    Nothing is loaded here: who has the object has run its code already.

    Parameters
    ----------
    model : called with crops as rows (n, h * w), gives probabilities (n, 2) of not flipped and flipped
    crop_size : rows and columns that it was trained with; unless given, the number of pixels that it has itself

    Raises
    ------
    RecordingError : no such object
    """
    if not callable(getattr(model, "predict_proba", None)):
        raise RecordingError(
            f"{type(model).__name__} has no predict_proba; an object with predict_proba(rows), already loaded, was "
            "expected: a path or bytes are never unpickled here"
        )
    return TrustedClassifier(model, crop_size or getattr(model, "n_features_in_", None))
