"""Noticing that the file of an open database was removed, replaced or written by others behind SQLite's back.

`os.stat` only: a process that has a database open must never open its file by other means, because closing that
handle would drop SQLite's own locks on it.
"""

import os
from pathlib import Path

from msgspec import Struct


class Mark(Struct, frozen=True):
    """What a file looked like; two marks differ where it is another file or was written since."""

    device: int
    inode: int
    size: int
    changed_ns: int

    def same_file(self, other: "Mark") -> bool:
        """Whether both are of one file, written or not."""
        return (self.device, self.inode) == (other.device, other.inode)

    def text(self) -> bytes:
        """It as bytes of a fixed length, to be kept in the lock file."""
        return f"{self.device:020d} {self.inode:020d} {self.size:020d} {self.changed_ns:020d}\n".encode()


UNKNOWN = Mark(0, 0, 0, 0)
"""What no file looks like."""
MARK_BYTES = 84
"""The length of `Mark.text`."""


def mark_of(path: Path) -> Mark | None:
    """The mark of a file now, `None` where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  on the way of every write, and twice as fast
    except OSError:
        return None
    return Mark(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
