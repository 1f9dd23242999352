"""Whose an exception is that was raised while code of a plugin ran."""

import sys
import threading
from types import FrameType


class Ended(BaseException):
    """A signal ends the program. Plugins raise `SystemExit` too, and are to blame for it; for this nobody is."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        self.exit_code = 128 + number
        super().__init__(f"ended by signal {number}")


def end(number: int, _: FrameType | None) -> None:
    """Handle a signal: end as after an interrupt, so that a command leaves nothing unfinished behind.

    Another signal does not disturb that. Where a plugin has kept the first one to itself, the next one counts.
    """
    error = sys.exception()
    while error is not None and not isinstance(error, Ended):
        error = error.__context__
    if error is None:
        raise Ended(number)


def pass_on(error: BaseException) -> None:
    """Raise it again where a signal raised it, which only happens in the main thread; all else is the plugin's."""
    if isinstance(error, Ended | KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error
