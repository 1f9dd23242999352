"""Threads that must not block: what would wait, or take long, is given up there, for another thread to do it.

The loop of a server is one: as long as it answers a request, it listens to nobody (`web.at_once`).
"""

import threading


class WouldBlock(BaseException):
    """Ends what must not block; no `Exception`, because nobody on its way is to answer it."""


class _Rules(threading.local):
    allowed = True


_rules = _Rules()


class no_blocking:  # noqa: N801  used as a function; a generator would take twice as long
    """`with no_blocking():`, this thread must not block as long as the block runs."""

    def __enter__(self) -> None:
        _rules.allowed = False

    def __exit__(self, *_: object) -> None:
        _rules.allowed = True


def about_to_block() -> None:
    """Say that what follows may take longer than a short read.

    Raises:
        WouldBlock: this thread must not.
    """
    if not _rules.allowed:
        raise WouldBlock
