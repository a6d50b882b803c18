"""Depth video of one animal seen from above: from a camera's frames to aligned crops and scalars."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_WHERE = {
    "OPTIONS": "optiontable:TABLE",
    "Seen": "records:Seen",
    "aggregate_extract_results": "aggregate:aggregate_extract_results",
    "build_index_dict": "index:build_index_dict",
    "build_manifest": "manifest:build_manifest",
    "camera": "cameras:camera",
    "check_completion_status": "status:check_completion_status",
    "convert_avi_to_raw": "converting:convert_avi_to_raw",
    "convert_raw_to_avi": "converting:convert_raw_to_avi",
    "copy_h5_metadata_to_yaml": "metadata:copy_h5_metadata_to_yaml",
    "copy_manifest_results": "copying:copy_manifest_results",
    "copy_slice": "converting:copy_slice",
    "export_crops": "labelling:export_crops",
    "extract": "extract:extract",
    "extract_recording": "running:extract_recording",
    "extract_recordings": "batch:extract_recordings",
    "find_recordings": "finding:find_recordings",
    "generate_index": "index:generate_index",
    "generate_index_from_agg_res": "index:generate_index_from_agg_res",
    "get_roi": "roi:get_roi",
    "handle_extract_metadata": "acquisition:handle_extract_metadata",
    "load_extraction_meta_from_h5s": "resultsread:load_extraction_meta_from_h5s",
    "open_results": "resultsread:open_results",
    "plot_crops": "plots:plot_crops",
    "plot_heading": "plots:plot_heading",
    "plot_scalars": "plots:plot_scalars",
    "plot_scene": "plots:plot_scene",
    "plot_trajectory": "plots:plot_trajectory",
    "resolve_config": "options:resolve_config",
    "save_crops": "plots:save_crops",
    "save_heading": "plots:save_heading",
    "save_scalars": "plots:save_scalars",
    "save_scene": "plots:save_scene",
    "save_trajectory": "plots:save_trajectory",
    "scan_recordings": "finding:scan_recordings",
    "scene": "scene:scene",
    "session_config": "options:session_config",
    "trusted_classifier": "classifiers:trusted_classifier",
    "read_tiff": "tiffs:read_tiff",
    "write_results": "resultswrite:write_results",
    "write_scene": "scene:write_scene",
    "write_tiff": "tiffs:write_tiff",
    "write_trees": "trees:write_trees",
}
__all__ = sorted(_WHERE)


class _Package(ModuleType):
    """Names that functions and modules share are those of the functions, whichever is imported first."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _WHERE and isinstance(value, ModuleType)):  # as an import of the module would bind it
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
