"""Dask clusters in batch queues, and runs in them: what a job asks for, what became of it. Knows no recordings."""

from __future__ import annotations
