"""What is counted and timed of chat turns; never what was said."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from pinocchio_core.domain.turns import Emit, Event
from pinocchio_core.errors import TurnCancelled

COMPLETED, REPEATED, FAILED, CANCELLED = "completed", "repeated", "failed", "cancelled"
_USAGE: Final = ("input_tokens", "output_tokens")


class TurnFigures(Struct, frozen=True, kw_only=True):
    """One turn that has ended."""

    engine: str
    status: str
    took_s: float
    """From when it was admitted, so waiting counts."""
    first_event_s: float | None
    """Until the engine's first text or call of a tool; `None` where there was none."""
    tool_calls: int
    tokens: dict[str, int]
    """`input_tokens` and `output_tokens`, where the engine says so."""


Observe = Callable[[TurnFigures], None]


class TurnClock:
    """Times one turn: hand `emit` to it, and tell it what came of it."""

    def __init__(self, engine: str, emit: Emit) -> None:
        self._engine = engine
        self._emit = emit
        self._began = time.perf_counter()
        self._first_s: float | None = None
        self._tool_calls = 0
        self.status = COMPLETED
        self.usage: dict[str, object] = {}

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        self._emit(event)
        if event.type == "tool_call":
            self._tool_calls += 1
        if self._first_s is None and (event.type == "tool_call" or event.data.get("text")):
            self._first_s = time.perf_counter() - self._began

    @contextmanager
    def running(self, observe: Observe) -> Iterator[None]:
        """Tell `observe` of the turn when the block ends."""
        try:
            yield
        except BaseException as error:
            self.status = CANCELLED if isinstance(error, TurnCancelled) else FAILED
            raise
        finally:
            observe(self._figures())

    def _figures(self) -> TurnFigures:
        tokens = {name: count for name in _USAGE if isinstance(count := self.usage.get(name), int) and count > 0}
        return TurnFigures(
            engine=self._engine,
            status=self.status,
            took_s=time.perf_counter() - self._began,
            first_event_s=self._first_s,
            tool_calls=self._tool_calls,
            tokens=tokens,
        )
