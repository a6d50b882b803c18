"""What results say of their recording, from HDF5 to the status file beside it."""

from __future__ import annotations

import logging
import os

from ..errors import FormatError
from .index import find_results
from .resultsread import read_metadata
from .status import read_status
from .yamlfiles import read_yaml, write_yaml

log = logging.getLogger(__name__)


def copy_h5_metadata_to_yaml(input_dir: str | os.PathLike[str], h5_path: str = "metadata/acquisition") -> list[str]:
    """Copy a group of each results_NN.h5 below a folder to `metadata` of its results_NN.yaml; those written, sorted.

    Only results that are complete and not skipped are touched; others, and those that cannot be read, are logged. The
    rest of the file is kept.

    Parameters
    ----------
    input_dir : folder of recordings
    h5_path : the group

    Raises
    ------
    FileNotFoundError : no such folder

    >>> import h5py
    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"], file["metadata/acquisition/SubjectName"] = np.ones((2, 3, 3), "u1"), "mouse"
    ...     _ = write_yaml(f"{folder}/results_00.yaml", {"complete": True, "uuid": "a1"})
    ...     read_yaml(copy_h5_metadata_to_yaml(folder)[0])["metadata"]
    {'SubjectName': 'mouse'}
    """
    written = []
    for h5, yaml in find_results(input_dir):
        try:
            status = read_status(yaml)
            if not status.complete or status.skip:
                log.info("%s is left as it is: %s", yaml, "skipped" if status.skip else "not complete")
                continue
            found = read_metadata(h5, h5_path)
        except FormatError as error:
            log.warning("%s is left as it is: %s", yaml, error)
            continue
        write_yaml(yaml, {**read_yaml(yaml), "metadata": found})
        written.append(yaml)
    return written
