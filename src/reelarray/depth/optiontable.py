"""Every option of an extraction, once: its name, default, type and meaning, and whether it has an effect here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["used", "dead", "refused"]


@dataclass(frozen=True)
class Option:
    """One option: `kind` is a key of `optionkinds.KINDS`; results depend on it where `changes` is True."""

    name: str
    default: Any
    kind: str
    meaning: str
    changes: bool = True
    choices: tuple[str, ...] = ()
    status: Status = "used"


def _one(name: str, default: Any, kind: str, meaning: str, *choices: str) -> Option:
    return Option(name, default, kind, meaning, choices=choices)


def _beside(name: str, default: Any, kind: str, meaning: str, *choices: str) -> Option:
    """An option of how and where, which results do not depend on."""
    return Option(name, default, kind, meaning, False, choices)


def _dead(name: str, default: Any, why: str) -> Option:
    return Option(name, default, "anything", why, False, status="dead")


SHAPES = ("ellipse", "rectangle")

INPUT = (
    _one("camera_type", "auto", "choice", "profile of weights, crops and lens", "auto", "kinect", "azure", "realsense"),
    _one("intrinsics", None, "intrinsics", "fx, fy, cx, cy in px of this camera; none: the nominal lens"),
    _one("fps", 30.0, "positive number", "frames a second where the recording has no times"),
    _one("frame_trim", (0, 0), "two counts", "frames left out at the begin and at the end"),
    _one("num_frames", None, "count or none", "frames that are extracted; none: all"),
    _one("mapping", "DEPTH", "text or number", "the stream of an .mkv: its title, or its number"),
    _one("frame_size", None, "two sizes or none", "columns and rows of a raw file; none: as metadata.json says"),
    _one("on_mismatch", "error", "choice", "where times and frames differ in number", "error", "trim", "ignore"),
)

SCENE = (
    _one("bg_roi_index", 0, "indices", "which candidate is the arena, 0 is the best; of a list the first there is"),
    _one("bg_roi_weights", None, "three numbers or none", "of area, extent and distance; none: of the profile"),
    _one("bg_roi_depth_range", (650.0, 750.0), "range or auto", "depth of the floor, mm, with manual_set_depth_range"),
    _one("manual_set_depth_range", False, "flag", "take bg_roi_depth_range, do not look for the floor"),
    _one("bg_roi_dilate", (10, 10), "two sizes", "element that widens the arena, px"),
    _one("bg_roi_erode", (1, 1), "two sizes", "element that narrows the arena, px"),
    _one("bg_roi_shape", "ellipse", "choice", "shape of both elements", *SHAPES),
    _one("dilate_iterations", 1, "count", "how often the arena is widened"),
    _one("erode_iterations", 0, "count", "how often the arena is narrowed"),
    _one("bg_roi_fill_holes", True, "flag", "fill holes of the arena"),
    _one("bg_roi_gradient_filter", False, "flag", "leave steep pixels out of the floor"),
    _one("bg_roi_gradient_threshold", 3000.0, "number", "largest gradient of the floor (Sobel)"),
    _one("bg_roi_gradient_kernel", 7, "odd size", "of the gradient, px"),
    _one("bg_sort_roi_by_position", False, "flag", "order the best candidates from top to bottom"),
    _one("bg_sort_roi_by_position_max_rois", 2, "size", "how many of them"),
    _one("overlap_roi", None, "path or none", "TIFF of a mask: the candidate that overlaps it most is left out"),
    _one("noise_tolerance", 30.0, "positive number", "distance from the plane that is still floor, mm"),
    _one("seed", 0, "count", "of the search for the plane"),
    _one("use_plane_bground", False, "flag", "the plane is the background, for animals that never move"),
    _one("detected_true_depth", "auto", "number or auto", "depth of the floor, mm"),
    _one("graduate_walls", False, "flag", "slanted walls; needs dilate_iterations > 1 (experimental)"),
    _one("widen_radius", 0.0, "number", "widens slanted walls, px"),
    _beside("recompute_bg", False, "flag", "make the background anew though a stored one fits"),
)

ANIMAL = (
    _one("min_height", 10, "count", "lowest height of the animal, mm"),
    _one("max_height", 120, "size", "largest height of the animal, mm"),
    _one("frame_dtype", "uint8", "choice", "of heights; uint16 where max_height > 255", "uint8", "uint16"),
    _one("spatial_filter_size", (3,), "medians", "medians over each frame, px; 0 is off"),
    _one("temporal_filter_size", (0,), "medians", "medians over time, frames; 0 is off"),
    _one("tail_filter_iters", 1, "count", "openings that remove the tail; 0 is off"),
    _one("tail_filter_size", (9, 9), "two sizes", "their element, px"),
    _one("tail_filter_shape", "ellipse", "choice", "its shape", *SHAPES),
    _one("cable_filter_iters", 0, "count", "erosions that remove a cable; 0 is off"),
    _one("cable_filter_size", (5, 5), "two sizes", "their element, px"),
    _one("cable_filter_shape", "rectangle", "choice", "its shape", *SHAPES),
    _one("use_cc", True, "flag", "only the largest object is the animal"),
    _one("crop_size", None, "two sizes or none", "rows and columns of a crop; none: of the camera's profile"),
    _one("rotate", True, "flag", "turn crops to the animal's axis"),
    _one("use_tracking_model", False, "flag", "follow the animal with a Gaussian"),
    _one("tracking_model_ll_threshold", -100.0, "number", "log-likelihood of pixels that the model is fitted to"),
    _one("tracking_model_mask_threshold", -16.0, "number", "log-likelihood of pixels of the animal"),
    _one("tracking_model_ll_clip", -100.0, "number", "lowest log-likelihood that is stored"),
    _one("tracking_model_segment", True, "flag", "fit to the largest object only"),
    _one("tracking_model_init", "raw", "choice", "what the first fit sees", "raw", "min", "med"),
    _one("tracker_warmup", None, "count or none", "frames that each block runs in; none: exact, one after the other"),
    _one("model_smoothing_clips", (0.0, 0.0), "two numbers", "log-likelihoods between which features are smoothed"),
)

HEADING = (
    _one("centroid_hampel_span", 0, "odd count", "frames in which odd positions are replaced; 0 is off"),
    _one("centroid_hampel_sig", 3.0, "positive number", "how odd, in standard deviations"),
    _one("angle_hampel_span", 0, "odd count", "as centroid_hampel_span, of the angle"),
    _one("angle_hampel_sig", 3.0, "positive number", "as centroid_hampel_sig, of the angle"),
    _one("max_gap", 5.0, "positive number", "frame periods of a gap that filters do not cross"),
    _one("flip", None, "flip", "which way the animal faces: motion, shape, a function of crops, an .onnx or .npz file"),
    _one("flip_classifier_smoothing", 51, "odd size", "median over time of what flip says, frames"),
    _one("compute_raw_scalars", False, "flag", "area and height of crops before cleaning"),
    _one("compat", False, "compat", "numbers as moseq2-extract makes them, defects included; strict: wraps too"),
    _one("compat_chunk", None, "size or none", "frames after which moseq2-extract starts anew; none: never"),
    Option("flip_classifier", None, "refused", "a pickled classifier: loading one can run code", status="refused"),
)

OUTPUT = (
    _beside("output_dir", "proc", "path or none", "folder of results, beside the recording unless absolute"),
    _beside("chunk_size", 200, "size", "frames of one block: memory, never results"),
    _beside("write_movie", True, "flag", "make a preview"),
    _beside("preview_every", 1, "size", "frames of the recording for one of the preview"),
    _beside("profile", False, "flag", "note the time of each step"),
    _beside("compress", False, "flag", "make an .avi of a raw recording afterwards"),
    _beside("compress_chunk_size", 3000, "size", "frames written at once by it"),
    _beside("compress_threads", 3, "size", "threads of it"),
    _beside("delete", False, "flag", "delete the raw file when its copy is proven"),
    _beside("write_default_metadata", False, "flag", "write a missing metadata.json into the raw folder"),
    _beside("force", False, "flag", "extract again what is complete"),
)

BATCH = (
    _beside("input_dir", None, "path or none", "folder below which recordings are looked for"),
    _beside("extensions", (".dat",), "texts", "names of recordings end so"),
    _beside("skip_checks", False, "flag", "take recordings without metadata, and complete ones"),
    _beside("skip_extracted", False, "flag", "leave complete recordings out"),
    _beside("skip_completed", False, "flag", "as skip_extracted"),
    _beside("config_file", None, "path or none", "the file that these options are from"),
    _beside("session_config_path", None, "path or none", "YAML of options by name of a recording's folder"),
    _beside("cluster_type", "local", "choice", "where a batch runs", "local", "slurm", "pbs"),
    _beside("partition", None, "text or none", "queue of the cluster"),
    _beside("ncpus", 1, "size", "cores of one job"),
    _beside("memory", "5GB", "text", "of one job"),
    _beside("wall_time", "3:00:00", "text", "longest time of one job"),
    _beside("prefix", "", "text", "commands before those of a job"),
    _beside("progress_bar", True, "flag", "show progress"),
    _beside("verbose", 0, "verbosity", "say more"),
)  # fmt: skip

_NO_CHUNKS = "results do not depend on chunking"
_LATER = "of the tools that come after extraction"
_READ = "read from the file itself"

DEAD = (
    _dead("chunk_overlap", 0, _NO_CHUNKS),
    _dead("movie_dtype", "<u2", _READ),
    _dead("pixel_format", "gray16le", _READ),
    _dead("finfo", None, _READ),
    _dead("threads", 8, "compress_threads are those of an .avi, and a preview needs one"),
    _dead("get_cmd", True, "write_script makes a script of jobs"),
    _dead("run_cmd", False, "recordings are run without a script"),
    _dead("extract_out_script", "extract_out.sh", "write_script makes a script of jobs"),
    _dead("nodes", 1, "a job has one node"),
    _dead("queue", None, "partition names the queue"),
    _dead("cores", 1, "ncpus is the number of cores"),
    _dead("nproc", None, "ncpus is the number of cores"),
    _dead("tank_mode", False, "had no use"),
    _dead("true_depth", None, "detected_true_depth is the option; this is a result"),
    _dead("dask_cache_path", None, "blocks are kept beside the results"),
    _dead("dask_port", None, "dask's own configuration has it"),
    _dead("pixel_areas", None, "bg_roi_weights and bg_roi_index choose the arena"),
    _dead("autodetect", None, "the arena is found by its rank"),
    *(_dead(name, None, _LATER) for name in (
        "gaussfilter_space", "gaussfilter_time", "medfilter_space", "medfilter_time", "missing_data",
        "missing_data_iters", "mask_threshold", "mask_height_threshold", "tailfilter_size", "tailfilter_shape",
        "use_fft", "rank", "recon_pcs", "local_processing", "nworkers", "processes", "timeout", "pca_path",
        "scores_path", "changepoint_file", "h5_path", "h5_mask_path", "klags", "sigma", "dims", "npcs", "kappa",
        "overwrite_pca_train", "overwrite_pca_apply", "train_on_subset", "fill_gaps", "detrend_window",
    )),
)  # fmt: skip

TABLE: dict[str, Option] = {
    option.name: option for group in (INPUT, SCENE, ANIMAL, HEADING, OUTPUT, BATCH, DEAD) for option in group
}
