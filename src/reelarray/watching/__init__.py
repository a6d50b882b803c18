"""Watching folders: a recording that is finished is processed, once, and that is kept note of."""
