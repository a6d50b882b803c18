"""Classifiers of crops that are forests of decision trees, as plain arrays of an .npz file."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, RecordingError
from ..sinks.atomic import writing

# Arrays of a file. Nodes of all trees stand one after the other, children behind their parents.
LAYOUT = {
    "crop_size": "(2,) rows and columns of the crops",
    "root": "(trees,) the first node of each tree",
    "feature": "(nodes,) the feature that a node looks at; below 0: a leaf",
    "threshold": "(nodes,) features up to it, as float32, go left, others right",
    "left": "(nodes,) child, a number of a node",
    "right": "(nodes,) child, a number of a node",
    "value": "(nodes,) probability that a crop which ends there is flipped",
    "mean": "(rows * columns,) optional, with components: subtracted from the pixels",
    "components": "(features, rows * columns) optional: features are scores of these components, else the pixels",
}
_OPTIONAL = ("mean", "components")


@dataclass(frozen=True, eq=False)
class Trees:
    """A forest: the arrays of `LAYOUT`; the probability of a crop is the mean over trees."""

    crop_size: tuple[int, int]
    root: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    mean: np.ndarray | None = None
    components: np.ndarray | None = None

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Heights (n, h, w) -> (n,), how likely each is flipped."""
        pixels = crops.reshape(len(crops), crops.shape[1] * crops.shape[2])
        if self.components is None or self.mean is None:
            features = pixels.astype(np.float32)
        else:  # one at a time: products of matrices round otherwise where there are fewer rows
            scores = [self.components @ (row - self.mean) for row in pixels]
            features = np.array(scores, np.float32).reshape(len(crops), len(self.components))
        rows = np.arange(len(crops))[:, None]
        node = np.broadcast_to(self.root, (len(crops), len(self.root)))
        while (inner := self.feature[node] >= 0).any():  # children stand behind their parents: this ends
            goes_left = features[rows, np.maximum(self.feature[node], 0)] <= self.threshold[node]
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
        return self.value[node].mean(axis=1)


def read_trees(path: str | os.PathLike[str]) -> Trees:
    """A forest from an .npz file, of arrays only: `LAYOUT` says which.

    Raises
    ------
    FormatError : arrays that are missing, or that make no trees
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in LAYOUT if name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise FormatError(f"{path} is no .npz file of plain arrays ({error}); write_trees makes one") from error
    if missing := [name for name in LAYOUT if name not in arrays and name not in _OPTIONAL]:
        raise FormatError(
            f"{path} has no array {', '.join(missing)}; {', '.join(LAYOUT)} were expected (mean and components are "
            "optional): write_trees makes such a file"
        )
    if wrong := _wrong(arrays):
        raise FormatError(f"{path}: {wrong}")
    integers = {name: arrays[name].astype(np.int64) for name in ("root", "feature", "left", "right")}
    others = {name: arrays[name].astype(float) for name in arrays if name not in integers and name != "crop_size"}
    rows, columns = arrays["crop_size"].tolist()
    return Trees((int(rows), int(columns)), **integers, **others)


def _wrong(arrays: dict[str, np.ndarray]) -> str:
    """What is wrong with the arrays of a file, or nothing."""
    if any(array.dtype.kind not in "iufb" for array in arrays.values()):
        return "arrays of numbers were expected: " + ", ".join(f"{k} is {v.dtype}" for k, v in arrays.items())
    if arrays["crop_size"].shape != (2,) or (arrays["crop_size"] < 1).any():
        return f"crop_size is {arrays['crop_size'].tolist()}; rows and columns were expected"
    nodes, pixels = len(np.atleast_1d(arrays["feature"])), int(np.prod(arrays["crop_size"].astype(np.int64)))
    for name in ("feature", "threshold", "left", "right", "value"):
        if arrays[name].shape != (nodes,):
            return f"{name} has shape {arrays[name].shape}; one number for each of {nodes} nodes was expected"
    if ("mean" in arrays) != ("components" in arrays):
        return "mean and components belong together: give both, or neither"
    features = pixels
    if "components" in arrays:
        features = len(arrays["components"])
        if arrays["components"].shape != (features, pixels) or arrays["mean"].shape != (pixels,):
            return (
                f"components {arrays['components'].shape}, mean {arrays['mean'].shape} for crops of {pixels} px; "
                f"(features, {pixels}) and ({pixels},) were expected"
            )
    root, feature = arrays["root"], arrays["feature"]
    if root.ndim != 1 or not len(root) or (root < 0).any() or (root >= nodes).any():
        return f"root has numbers of the first nodes of trees, from 0 to {nodes - 1}; {root.tolist()[:5]} was found"
    if (feature >= features).any():
        return f"feature has {int(feature.max())}; {features} features, from 0, were expected"
    inner = np.flatnonzero(feature >= 0)
    for name in ("left", "right"):
        child = arrays[name][inner]
        if (child <= inner).any() or (child >= nodes).any():
            return f"{name} leads out of the {nodes} nodes, or back: children were expected behind their parents"
    leaves = arrays["value"][feature < 0]
    if not ((leaves >= 0) & (leaves <= 1)).all():
        return "value of leaves was expected to be a probability, from 0 to 1"
    return ""


def write_trees(model: Any, path: str | os.PathLike[str], *, crop_size: tuple[int, int]) -> Path:
    """Write the trees of a classifier of scikit-learn, already loaded, as arrays that can be read without it.

    Parameters
    ----------
    model : a decision tree, or a forest of them, of two classes, the second of which is "flipped"; or a pipeline of PCA
        and one of these. It was fitted to crops as rows of pixels
    path : of the .npz file, replaced whole
    crop_size : rows and columns of the crops

    Raises
    ------
    RecordingError : a model of another kind
    """
    trees = _with_scores(model, crop_size)
    if wrong := _wrong({name: np.asarray(getattr(trees, name)) for name in LAYOUT if getattr(trees, name) is not None}):
        raise RecordingError(f"{type(model).__name__} for crops of {crop_size[0]} x {crop_size[1]} px: {wrong}")
    arrays = {name: getattr(trees, name) for name in LAYOUT if getattr(trees, name) is not None}
    with writing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return Path(path)


def _with_scores(model: Any, crop_size: tuple[int, int]) -> Trees:
    steps = [step for _, step in getattr(model, "steps", [("", model)])]
    forest = _forest(steps[-1], crop_size)
    if len(steps) == 1:
        return forest
    pca = steps[0]
    if len(steps) > 2 or not hasattr(pca, "components_") or getattr(pca, "whiten", False):
        names = ", ".join(type(step).__name__ for step in steps)
        raise RecordingError(f"a pipeline of {names} was given; PCA (not whitened) and trees were expected")
    return replace(forest, mean=np.asarray(pca.mean_, float), components=np.asarray(pca.components_, float))


def _forest(model: Any, crop_size: tuple[int, int]) -> Trees:
    trees = [tree.tree_ for tree in getattr(model, "estimators_", [model]) if hasattr(tree, "tree_")]
    if not trees or len(getattr(model, "classes_", ())) != 2:
        raise RecordingError(
            f"{type(model).__name__} was given; a fitted tree or forest of scikit-learn with two classes was expected"
        )
    counts = [len(tree.feature) for tree in trees]
    root = np.cumsum([0, *counts[:-1]])
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    first = np.repeat(root, counts)
    weight = np.concatenate([np.asarray(tree.value)[:, 0, :] for tree in trees])
    left, right = (np.concatenate([getattr(t, f"children_{side}") for t in trees]) for side in ("left", "right"))
    feature = np.concatenate([tree.feature for tree in trees])
    return Trees(
        (int(crop_size[0]), int(crop_size[1])),
        root,
        np.where(leaf, -1, feature),
        np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees])),
        np.where(leaf, -1, left + first),
        np.where(leaf, -1, right + first),
        weight[:, 1] / weight.sum(1),
    )
