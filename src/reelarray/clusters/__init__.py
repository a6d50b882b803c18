"""Dask clusters in batch queues, and runs in them: what a job asks for, what became of it. Knows nothing of recordings."""

from __future__ import annotations
