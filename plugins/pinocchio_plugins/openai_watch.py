"""One turn's clock, its line to the client, and its bounds."""

import time
from typing import Final

from pinocchio_core.plugin import EngineFailed, Event, Turn

BEAT_S: Final = 0.5
"""Longest wait between two looks at whether the client is still there."""
TOTAL: Final = 10
"""A turn lasts at most this many times its timeout."""
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024


class Watch:
    """Keeps one turn within its bounds, and tells its client what comes."""

    def __init__(self, turn: Turn, *, timeout_s: float) -> None:
        self.patience_s = timeout_s
        """How long to wait for the next byte."""
        self.told = False
        """Whether the client has got text, so that trying again would repeat it."""
        self._emit = turn.emit
        self._longest_s = TOTAL * timeout_s
        self._last = time.monotonic()
        self._deadline = self._last + self._longest_s
        self._bytes = 0

    def pulse(self) -> None:
        """Called at least every `BEAT_S`.

        Raises:
            TurnCancelled: nobody waits for the turn any more.
            EngineFailed: it has taken too long.
        """
        now = time.monotonic()
        if now > self._deadline:
            raise EngineFailed(f"the answer took longer than {self._longest_s:g} s", next_step=_LONGER)
        if now - self._last >= BEAT_S:
            self._send("")

    def tell(self, text: str) -> None:
        """Send text of the answer to the client at once."""
        self.told = True
        self._send(text)

    def count(self, text: str) -> None:
        """Count text of the answer; EngineFailed where it is too much."""
        self._bytes += len(text.encode())
        if self._bytes > MAX_TEXT_BYTES:
            raise EngineFailed(
                f"the answer is longer than {MAX_TEXT_BYTES} bytes", next_step="set ai-max-response-tokens"
            )

    def wait(self, seconds: float) -> None:
        """Sleep, and stop as `pulse` does."""
        until = time.monotonic() + seconds
        self.pulse()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_S))
            self.pulse()

    def _send(self, text: str) -> None:
        self._emit(Event(type="delta", data={"text": text}))
        self._last = time.monotonic()


_LONGER: Final = "ask for less, or raise timeout in the section ai-client"
