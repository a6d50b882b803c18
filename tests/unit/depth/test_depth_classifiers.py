"""Classifiers of crops: functions, ONNX files, trees in arrays, objects in memory; never a pickle."""

from __future__ import annotations

import copy
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from reelarray.depth.classifiers import classifier, probabilities, trusted_classifier
from reelarray.depth.flips import flip_method
from reelarray.depth.labelling import export_crops
from reelarray.depth.onnxmodels import BATCH, _session
from reelarray.depth.trees import LAYOUT, Trees, read_trees, write_trees
from reelarray.errors import FormatError, MissingPackage, RecipeError, RecordingError

SIZE = (4, 6)


def crops(count: int = 9, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 100, (count, *size)).astype(np.uint8)


def right_side(some: np.ndarray) -> np.ndarray:
    """Share of volume on the right."""
    return some[..., some.shape[-1] // 2 :].sum((1, 2)) / some.sum((1, 2))


# functions


def test_a_function_is_asked_about_crops_with_an_animal_only() -> None:
    seen, some = [], crops()
    some[[2, 5]] = 0

    def said(given: np.ndarray) -> np.ndarray:
        seen.append(given.shape)
        return right_side(given)

    found = probabilities(classifier(said, SIZE), some)
    assert seen == [(7, *SIZE)]
    assert np.flatnonzero(np.isnan(found)).tolist() == [2, 5]
    assert (np.delete(found, [2, 5]) == right_side(np.delete(some, [2, 5], axis=0))).all()


def test_crops_are_turned_to_the_unwrapped_axis() -> None:
    some = crops()
    found = probabilities(right_side, some, np.arange(9) - 4)
    expected = np.where(np.arange(9) % 2 == 1, right_side(some[:, ::-1, ::-1]), right_side(some))
    assert (found == expected).all()
    assert (some == crops()).all(), "what was given is as it was"


def test_nobody_is_asked_about_nothing() -> None:
    assert np.isnan(probabilities(lambda some: 1 / 0, np.zeros((3, *SIZE), np.uint8))).all()
    assert probabilities(right_side, crops(0)).shape == (0,)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (lambda some: np.zeros(3), r"shape \(3,\)"),
        (lambda some: np.zeros((9, 2)), r"shape \(9, 2\).*second"),
        (lambda some: 0.5, r"shape \(\)"),
        (lambda some: None, r"shape \(\)"),
        (lambda some: "flipped", "str"),
        (lambda some: np.full(9, np.nan), "9 of them are NaN"),
        (lambda some: np.full(9, 1.01), "to 1.01"),
        (lambda some: np.full(9, -3.0), "from -3"),
    ],
)
def test_what_is_no_probability_is_refused(said, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        probabilities(said, crops())


def test_a_column_is_taken() -> None:
    assert probabilities(lambda some: np.full((9, 1), 0.25), crops()).tolist() == [0.25] * 9


def test_a_function_may_say_the_size_of_its_crops() -> None:
    def said(given: np.ndarray) -> np.ndarray:
        return np.zeros(len(given))

    said.crop_size = (80, 80)  # type: ignore[attr-defined]
    assert classifier(said, (80, 80)) is said
    with pytest.raises(RecordingError, match=r"said takes crops of 80 x 80 px, and the crops are 120 x 100 px"):
        classifier(said, (120, 100))


# pickles, and other files


@pytest.mark.parametrize("name", ["flip.pkl", "flip_classifier_k2_c57_10to13weeks.pkl", "F.P", "a.joblib", "a.pickle"])
def test_a_pickle_is_refused_before_it_is_looked_at(name: str, tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RecipeError, match="never loaded") as error:
        flip_method(str(tmp_path / name), SIZE)
    for way_out in ("flip='motion'", "write_trees", "ONNX", "trusted_classifier", "export_crops"):
        assert way_out in str(error.value)
    assert not (tmp_path / "it ran").exists()


def test_a_pickle_inside_an_array_file_is_refused(tmp_path) -> None:
    path = tmp_path / "trees.npz"
    np.savez(path, feature=np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"trees\.npz"):
        classifier(path, SIZE)


def test_other_files_and_none(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"ends in \.onnx or \.npz"):
        classifier("model.h5", SIZE)
    with pytest.raises(RecipeError, match="no such file"):
        classifier(tmp_path / "model.onnx", SIZE)


# trees


def forest() -> Trees:
    """Two trees: of one pixel, and of another and then the first."""
    return Trees(
        SIZE,
        root=np.array([0, 3]),
        feature=np.array([0, -1, -1, 5, 0, -1, -1, -1]),
        threshold=np.array([50.5, 0, 0, 20, 80, 0, 0, 0]),
        left=np.array([1, -1, -1, 4, 5, -1, -1, -1]),
        right=np.array([2, -1, -1, 7, 6, -1, -1, -1]),
        value=np.array([0, 0.0, 1.0, 0, 0, 0.25, 0.5, 0.75]),
    )


def expected_of_forest(some: np.ndarray) -> np.ndarray:
    first, sixth = some[:, 0, 0].astype(float), some[:, 0, 5].astype(float)
    one = np.where(first <= 50.5, 0.0, 1.0)
    other = np.where(sixth <= 20, np.where(first <= 80, 0.25, 0.5), 0.75)
    return (one + other) / 2


def save(path, trees: Trees, **changed: object) -> None:
    arrays = {name: getattr(trees, name) for name in LAYOUT if getattr(trees, name) is not None} | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_trees_from_a_file(tmp_path) -> None:
    save(tmp_path / "trees.npz", forest())
    found = classifier(tmp_path / "trees.npz", SIZE)
    some = crops(200)
    assert set(found(some)) == set(expected_of_forest(some))
    assert (found(some) == expected_of_forest(some)).all()
    assert found(crops(0)).shape == (0,)
    again = pickle.loads(pickle.dumps(found))
    assert (again(some) == found(some)).all(), "it can be sent to workers"
    with pytest.raises(RecordingError, match="4 x 6 px, and the crops are 80 x 80 px"):
        classifier(tmp_path / "trees.npz", (80, 80))


def test_trees_of_scores(tmp_path) -> None:
    random = np.random.default_rng(1)
    mean, components = random.uniform(0, 50, 24), random.normal(0, 1, (6, 24))
    save(tmp_path / "trees.npz", forest(), mean=mean, components=components)
    found, some = read_trees(tmp_path / "trees.npz"), crops(200)
    scores = (some.reshape(200, 24) - mean) @ components.T
    expected = forest()(scores.reshape(200, 1, 6))
    assert 0.1 < expected.mean() < 0.9
    assert (found(some) == expected).all()
    alone = np.concatenate([found(some[k : k + 1]) for k in range(200)])
    assert alone.tobytes() == found(some).tobytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"root": None}, "no array root"),
        ({"crop_size": None, "value": None}, "no array crop_size, value"),
        ({"crop_size": np.array([4, 6, 1])}, "crop_size"),
        ({"crop_size": np.array([2, 2])}, "4 features"),
        ({"feature": np.array([0, -1, -1, 24, 0, -1, -1, -1])}, "feature has 24; 24 features"),
        ({"left": np.array([0, -1, -1, 4, 5, -1, -1, -1])}, "left leads out"),
        ({"right": np.array([2, -1, -1, 8, 6, -1, -1, -1])}, "right leads out"),
        ({"threshold": np.zeros(3)}, r"threshold has shape \(3,\)"),
        ({"value": np.full(8, 1.5)}, "probability"),
        ({"value": np.full(8, np.nan)}, "probability"),
        ({"root": np.array([0, 8])}, "root"),
        ({"mean": np.zeros(24)}, "belong together"),
        ({"mean": np.zeros(24), "components": np.zeros((6, 23))}, r"\(6, 23\)"),
        ({"value": np.array(["a"] * 8)}, "arrays of numbers"),
    ],
)
def test_arrays_that_make_no_trees(changed: dict, words: str, tmp_path) -> None:
    save(tmp_path / "bad.npz", forest(), **changed)
    with pytest.raises(FormatError, match=words) as error:
        read_trees(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x04N."])
def test_no_array_file(content: bytes, tmp_path) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(FormatError, match=r"bad\.npz"):
        read_trees(tmp_path / "bad.npz")


@pytest.mark.parametrize("kind", ["tree", "forest", "pipeline"])
def test_trees_of_scikit_learn(kind: str, tmp_path) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="writes trees of scikit-learn, which is not installed")
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    some = crops(300)
    flipped = right_side(some) > 0.5
    trees = ensemble.RandomForestClassifier(20, max_depth=6, random_state=0)
    model = {
        "tree": DecisionTreeClassifier(random_state=0, max_depth=4),
        "forest": trees,
        "pipeline": make_pipeline(PCA(5, random_state=0), trees),
    }[kind].fit(some.reshape(300, -1), flipped)
    write_trees(model, tmp_path / "trees.npz", crop_size=SIZE)
    other = crops(400, seed=1)
    expected = model.predict_proba(other.reshape(400, -1))[:, 1]
    np.testing.assert_allclose(classifier(tmp_path / "trees.npz", SIZE)(other), expected, atol=1e-12)
    np.testing.assert_allclose(probabilities(trusted_classifier(model), other), expected, atol=1e-12)
    with pytest.raises(RecordingError, match="24 px, and the crops are 80 x 80"):
        classifier(trusted_classifier(model), (80, 80))


def test_only_trees_are_written(tmp_path) -> None:
    with pytest.raises(RecordingError, match="SimpleNamespace was given; a fitted tree or forest"):
        write_trees(SimpleNamespace(classes_=[0, 1]), tmp_path / "x.npz", crop_size=SIZE)
    assert not list(tmp_path.iterdir())


# objects in memory


def test_an_object_in_memory() -> None:
    class Model:
        n_features_in_ = 24

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            assert rows.shape[1] == 24
            p = rows[:, 0] / 200
            return np.stack([1 - p, p], axis=1)

    found = classifier(trusted_classifier(Model(), SIZE), SIZE)
    assert (probabilities(found, crops()) == crops()[:, 0, 0] / 200).all()
    assert classifier(trusted_classifier(Model()), SIZE)
    with pytest.raises(RecordingError, match="4 x 6 px, and the crops are 8 x 3 px"):
        classifier(trusted_classifier(Model(), SIZE), (8, 3))
    three = SimpleNamespace(predict_proba=lambda rows: np.ones((len(rows), 3)) / 3, classes_=[0, 1, 2])
    with pytest.raises(RecordingError, match="two columns"):
        probabilities(trusted_classifier(three), crops())


@pytest.mark.parametrize("given", ["model.pkl", b"\x80\x04", None])
def test_only_objects_in_memory(given: object) -> None:
    with pytest.raises(RecordingError, match="never unpickled"):
        trusted_classifier(given)


# ONNX


def onnx_model(path, *, dims, kind="FLOAT", out="two", batch="n", seed=0):  # type: ignore[no-untyped-def]
    """One layer of random weights and a softmax (two columns) or a sigmoid (one) on crops of SIZE."""
    onnx = pytest.importorskip("onnx", reason="makes models for onnxruntime, which is not installed")
    pytest.importorskip("onnxruntime", reason="runs models, and is not installed")
    from onnx import TensorProto, helper, numpy_helper

    columns = 2 if out == "two" else 1
    weights = np.random.default_rng(seed).normal(0, 0.01, (24, columns)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crops"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["real", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["score"]),
        helper.make_node("Softmax" if columns == 2 else "Sigmoid", ["score"], ["probabilities"]),
        helper.make_node("ArgMax", ["score"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, [batch])]
    if out != "label":
        outputs.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, columns]))
    graph = helper.make_graph(
        nodes,
        "flips",
        [helper.make_tensor_value_info("crops", getattr(TensorProto, kind), [batch, *dims])],
        outputs,
        [numpy_helper.from_array(np.array([-1, 24]), "shape"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return weights


def expected_of_onnx(some: np.ndarray, weights: np.ndarray) -> np.ndarray:
    score = some.reshape(len(some), -1).astype(float) @ weights
    return 1 / (1 + np.exp(-(score[:, -1] - (score[:, 0] if weights.shape[1] == 2 else 0))))


@pytest.mark.parametrize("dims", [(24,), SIZE, (1, *SIZE), (*SIZE, 1), (None, None), (1, None, None)])
@pytest.mark.parametrize(("kind", "batch", "out"), [("FLOAT", "n", "two"), ("UINT8", 1, "one"), ("INT32", 5, "two")])
def test_onnx_models_as_they_declare_themselves(dims, kind: str, batch: object, out: str, tmp_path) -> None:
    weights = onnx_model(tmp_path / "m.onnx", dims=dims, kind=kind, batch=batch, out=out)
    found = classifier(str(tmp_path / "m.onnx"), SIZE)
    some = crops(2 * BATCH + 3)
    expected = expected_of_onnx(some, weights)
    assert 0.2 < expected.std() + expected.mean() < 1.5
    np.testing.assert_allclose(probabilities(found, some), expected, atol=1e-6)


def test_onnx_numbers_do_not_depend_on_how_many_are_asked_at_once(tmp_path) -> None:
    onnx_model(tmp_path / "m.onnx", dims=(24,))
    found, some = classifier(str(tmp_path / "m.onnx"), SIZE), crops(150)
    whole = probabilities(found, some)
    for size in (1, 7, 64, 100):
        parts = [probabilities(found, some[k : k + size]) for k in range(0, 150, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes(), size


@pytest.mark.parametrize(("dims", "takes"), [((6400,), "6400 px"), ((80, 80), "80 x 80 px"), ((1, 8, 3), "8 x 3 px")])
def test_onnx_models_of_other_crops(dims: tuple, takes: str, tmp_path) -> None:
    onnx_model(tmp_path / "m.onnx", dims=dims)
    with pytest.raises(RecordingError, match=f"m.onnx.*{takes}, and the crops are 4 x 6 px"):
        classifier(str(tmp_path / "m.onnx"), SIZE)


def test_onnx_models_that_take_or_give_something_else(tmp_path) -> None:
    path = tmp_path / "m.onnx"
    for dims, kind, out, words in (
        ((3, 4, 6), "FLOAT", "two", r"of shape \['n', 3, 4, 6\]"),
        ((2, 1, 3, 4), "FLOAT", "two", "was expected"),
        ((24,), "BOOL", "two", r"tensor\(bool\)"),
        ((24,), "FLOAT", "label", "zipmap"),
    ):
        onnx_model(path, dims=dims, kind=kind, out=out)
        with pytest.raises(FormatError, match=words) as error:
            classifier(str(path), SIZE)
        assert "m.onnx" in str(error.value)
        _session.cache_clear()
    path.write_bytes(b"no model")
    with pytest.raises(FormatError, match="no model that onnxruntime can run"):
        classifier(str(path), SIZE)


def test_heights_that_a_model_cannot_hold_are_refused(tmp_path) -> None:
    onnx_model(tmp_path / "m.onnx", dims=(24,), kind="UINT8")
    found = classifier(str(tmp_path / "m.onnx"), SIZE)
    with pytest.raises(RecordingError, match="uint8, and crops are uint16"):
        probabilities(found, crops().astype(np.uint16))


def test_an_onnx_model_is_a_value_and_the_file_that_it_was(tmp_path) -> None:
    path = tmp_path / "m.onnx"
    weights = onnx_model(path, dims=(24,))
    found = classifier(str(path), SIZE)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    np.testing.assert_allclose(again(crops()), expected_of_onnx(crops(), weights), atol=1e-6)
    onnx_model(path, dims=(24,), seed=1)
    os.utime(path, ns=(1, 1))
    _session.cache_clear()
    with pytest.raises(RecordingError, match="not the file that it was"):
        copy.copy(found)(crops())


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    _session.cache_clear()
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(MissingPackage, match=r"pip install 'reelarray\[onnx\]'"):
        classifier(str(tmp_path / "m.onnx"), SIZE)


# crops to label


def test_crops_to_label_are_spread_over_the_recording(tmp_path) -> None:
    some = crops(100)
    path = export_crops(some, tmp_path / "crops.npz", count=12, angle=np.arange(100.0))
    with np.load(path, allow_pickle=False) as file:
        found = dict(file)
    assert found["frame"].tolist() == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    assert (found["crops"] == some[found["frame"]]).all()
    assert (found["angle"] == found["frame"]).all()
    assert found["flipped"].tolist() == [-1] * 12


def test_crops_to_correct(tmp_path) -> None:
    flips = np.arange(9) > 4
    with np.load(export_crops(crops(), tmp_path / "crops.npz", flips=flips)) as file:
        assert file["flipped"].tolist() == flips.tolist()
        assert file["frame"].tolist() == list(range(9))


def test_crops_that_cannot_be_written(tmp_path) -> None:
    for given, words, more in (
        (np.zeros((3, 4)), r"shape \(3, 4\)", {}),
        (np.zeros((0, 4, 4)), "crops", {}),
        (crops(), "count=0", {"count": 0}),
        (crops(), "3 values of flipped were given for 9", {"flips": np.zeros(3)}),
    ):
        with pytest.raises(RecordingError, match=words):
            export_crops(given, tmp_path / "crops.npz", **more)
    assert not list(tmp_path.iterdir())
