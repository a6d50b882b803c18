"""The catalog: a folder of recorder files to a table of one row a file, kept, reported, and as csv files of OSmOSE."""

from reelarray.catalog.files import NoFiles
from reelarray.catalog.names import output_stem
from reelarray.catalog.osmose import (
    describe_metadata,
    read_file_list,
    read_metadata,
    read_timestamps,
    write_metadata,
    write_timestamps,
)
from reelarray.catalog.osmose_files import describe_files, read_file_metadata, write_file_metadata
from reelarray.catalog.position import position_attrs
from reelarray.catalog.report import Summary, drop_abnormal, quarantine, select, summarise
from reelarray.catalog.saved import load, save
from reelarray.catalog.scan import scan

__all__ = [
    "NoFiles",
    "Summary",
    "describe_files",
    "describe_metadata",
    "drop_abnormal",
    "load",
    "output_stem",
    "position_attrs",
    "quarantine",
    "read_file_list",
    "read_file_metadata",
    "read_metadata",
    "read_timestamps",
    "save",
    "scan",
    "select",
    "summarise",
    "write_file_metadata",
    "write_metadata",
    "write_timestamps",
]
