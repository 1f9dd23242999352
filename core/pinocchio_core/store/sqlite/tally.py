"""What is counted of a database, for metrics."""

from msgspec import Struct


class Tally(Struct):
    """What happened to a database since it was opened, for metrics."""

    checkpoints: int = 0
    checkpoint_s: float = 0.0
    checkpoints_blocked: int = 0
    """Those that a reader or a writer kept from finishing."""
    reopened: int = 0
    """How often its file was found replaced or written by others."""
