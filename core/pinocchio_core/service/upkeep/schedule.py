"""When a server makes backups by itself."""

from pathlib import Path

from msgspec import Struct


class Schedule(Struct, frozen=True, kw_only=True):
    """When to make backups, and which to keep."""

    folder: Path
    every_s: float
    keep: int
    """How many of the newest."""
    max_age_s: float | None
    """How old the others may become, `None` for any age."""
