"""Whose an exception is that was raised while code of a plugin ran."""

import threading


class Ended(BaseException):
    """A signal ends the program. Plugins raise `SystemExit` too, and are to blame for it; for this nobody is."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        self.exit_code = 128 + number
        super().__init__(f"ended by signal {number}")


def pass_on(error: BaseException) -> None:
    """Raise it again where a signal raised it, which only happens in the main thread; all else is the plugin's."""
    if isinstance(error, Ended | KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error
