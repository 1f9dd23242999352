"""Keeping a process on one core, where the platform can."""

import os


def usable_cores() -> list[int]:
    """The cores that this process may run on; none where the platform cannot pin."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


def pin(core: int) -> None:
    """Keep this process, and the threads that it starts, on one core."""
    os.sched_setaffinity(0, {core})
