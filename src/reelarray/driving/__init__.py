"""Driving units of work to their end: a few in flight, each noted when it is done, what fails set aside."""

from __future__ import annotations

from .calls import Calls, whole_worker
from .drive import drive
from .flow import ClientFlow, Flow, ThreadFlow
from .inside import synchronous
from .policy import Done, Failure, Policy, Tasks, Unit, Workers, in_use
from .stop import Stop

__all__ = [
    "Calls",
    "ClientFlow",
    "Done",
    "Failure",
    "Flow",
    "Policy",
    "Stop",
    "Tasks",
    "ThreadFlow",
    "Unit",
    "Workers",
    "drive",
    "in_use",
    "synchronous",
    "whole_worker",
]
