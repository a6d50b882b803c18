"""Classifiers of crops in ONNX files, run by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import FormatError, MissingPackage, RecordingError

# As a model declares them; heights (mm) are given as they are, in this type.
_TYPES = {
    "tensor(float)": np.dtype("f4"),
    "tensor(double)": np.dtype("f8"),
    "tensor(float16)": np.dtype("f2"),
    "tensor(uint8)": np.dtype("u1"),
    "tensor(uint16)": np.dtype("u2"),
    "tensor(int32)": np.dtype("i4"),
    "tensor(int64)": np.dtype("i8"),
}
# How a model takes one crop of h rows and w columns.
LAYOUTS: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "row": lambda h, w: (h * w,),
    "image": lambda h, w: (h, w),
    "channel first": lambda h, w: (1, h, w),
    "channel last": lambda h, w: (h, w, 1),
}
_FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")
BATCH = 64  # crops a call where the model takes any number: always as many, as sums may be rounded otherwise


@dataclass(frozen=True)
class OnnxModel:
    """A model in a file: crops (n, h, w) -> probabilities (n,). It is opened where it is called, once a process.

    `layout` is a key of LAYOUTS, `output` the name of what the model says, `batch` the number of crops of a call.
    """

    path: str
    size: int
    modified_ns: int
    crop_size: tuple[int, int] | int | None
    dtype: str
    layout: str
    output: str
    batch: int

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Ask the model, in batches of one size."""
        dtype = np.dtype(self.dtype)
        if not np.can_cast(crops.dtype, dtype, "safe"):
            raise RecordingError(
                f"{self.path} takes {dtype}, and crops are {crops.dtype}: pass max_height= below 256 for uint8, or a "
                "model of float32"
            )
        session = _session(self.path, self.size, self.modified_ns)
        name, out = session.get_inputs()[0].name, np.empty(len(crops))
        layout = LAYOUTS[self.layout](*crops.shape[1:])
        for start in range(0, len(crops), self.batch):
            part = crops[start : start + self.batch]
            rows = np.zeros((self.batch, *layout), dtype)
            rows[: len(part)] = part.reshape(len(part), *layout)
            (said,) = session.run([self.output], {name: rows})
            if said.shape not in ((self.batch,), (self.batch, 1), (self.batch, 2)):
                raise FormatError(
                    f"{self.path} made {said.shape} of {self.batch} crops; one probability of each, or two (not "
                    "flipped, flipped), were expected"
                )
            out[start : start + self.batch] = said.reshape(self.batch, -1)[: len(part), -1]
        return out


def read_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """What an .onnx file declares: one input of crops, and a probability of each.

    The input is (n, h * w), (n, h, w), (n, 1, h, w) or (n, h, w, 1), of any type that holds heights in mm, which are
    given as they are; n is free or a number. The output is "probabilities", or else the first of floating point:
    (n,), (n, 1), or (n, 2) with the probability of "flipped" in the second column.

    Raises
    ------
    FormatError : another input or output, or no model
    MissingPackage : without onnxruntime
    """
    path = os.path.abspath(path)
    stat = os.stat(path)
    session = _session(path, stat.st_size, stat.st_mtime_ns)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise FormatError(f"{path} takes {', '.join(i.name for i in inputs)}; one input, crops, was expected")
    kind, shape = inputs[0].type, [n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape]
    told = f"{path} takes {kind} of shape {inputs[0].shape}"
    expected = "one of (n, h * w), (n, h, w), (n, 1, h, w) and (n, h, w, 1) was expected"
    if kind not in _TYPES:
        raise FormatError(f"{told}; one of {', '.join(_TYPES)} was expected")
    size: tuple[int, int] | int | None
    if len(shape) == 2:
        size, layout = shape[1], "row"
    elif len(shape) == 3:
        size, layout = _both(shape[1:]), "image"
    elif len(shape) == 4 and shape[1] in (1, None):
        size, layout = _both(shape[2:]), "channel first"
    elif len(shape) == 4 and shape[3] == 1:
        size, layout = _both(shape[1:3]), "channel last"
    else:
        raise FormatError(f"{told}; {expected}")
    said = [o for o in outputs if o.type in _FLOATS]
    if not said:
        kinds = ", ".join(f"{o.name} ({o.type})" for o in outputs)
        raise FormatError(
            f"{path} gives {kinds}; a tensor of probabilities was expected: export models of scikit-learn with "
            "options={'zipmap': False}"
        )
    output = next((o.name for o in said if o.name == "probabilities"), said[0].name)
    return OnnxModel(path, stat.st_size, stat.st_mtime_ns, size, str(_TYPES[kind]), layout, output, shape[0] or BATCH)


def _both(shape: list[Any]) -> tuple[int, int] | None:
    return None if None in shape else (shape[0], shape[1])


@lru_cache(maxsize=8)
def _session(path: str, size: int, modified_ns: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackage(
            f"{path} needs onnxruntime, which is not installed: pip install 'reelarray[onnx]', on every worker"
        ) from error
    stat = os.stat(path)
    if (stat.st_size, stat.st_mtime_ns) != (size, modified_ns):
        raise RecordingError(f"{path} is not the file that it was when the extraction was planned: plan it again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # blocks run side by side already
    options.log_severity_level = 3  # errors only: they are raised as well
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a family of its own, below Exception
        raise FormatError(f"{path} is no model that onnxruntime can run: {error}") from error
