"""Server-sent events of a turn that runs in a thread of its own (HTML standard, section 9.2)."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from pinocchio_core.domain.turns import Emit, Event
from pinocchio_core.errors import TurnCancelled

HEARTBEAT_S: Final = 2.0
"""After so long without an event a comment is sent, which is how it is found out that a client has gone."""
MAX_BEHIND: Final = 1000
"""Events that wait for the client; an engine that is faster waits."""

Work = Callable[[Emit], bytes]
Problem = Callable[[BaseException], dict[str, Any]]


class EventStream:
    """The events of one turn as bytes, for a response that is sent as they come; closing it cancels the turn."""

    def __init__(self, work: Work, problem: Problem) -> None:
        """`work` runs the turn and returns its answer as JSON; `problem` makes the data of the event `error`."""
        self._work = work
        self._problem = problem
        self._gone = threading.Event()
        self._events: queue.Queue[bytes | None] = queue.Queue(MAX_BEHIND)
        self._thread = threading.Thread(target=self._run, name="turn", daemon=True)

    def __iter__(self) -> Iterator[bytes]:
        self._thread.start()
        while True:
            try:
                event = self._events.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                yield b": still here\n\n"
                continue
            if event is None:
                return
            yield event

    def close(self) -> None:
        """Called by the server when the response has ended, in whatever way."""
        self._gone.set()

    def _run(self) -> None:
        try:
            answer = self._work(self._emit)
            self._put(_event("done", answer))
        except TurnCancelled:
            pass
        except BaseException as error:  # noqa: BLE001  it is told, and logged by `problem`
            self._put(_event("error", msgspec.json.encode(self._problem(error))))
        finally:
            self._put(None)

    def _emit(self, event: Event) -> None:
        if self._gone.is_set():
            raise TurnCancelled
        if event.type == "delta" and not event.data.get("text"):
            return  # a sign of life from the engine
        self._put(_event(event.type, msgspec.json.encode(dict(event.data), enc_hook=str)))

    def _put(self, event: bytes | None) -> None:
        while not self._gone.is_set():
            try:
                self._events.put(event, timeout=0.5)
            except queue.Full:
                continue
            return


def _event(name: str, data: bytes) -> bytes:
    """One event; JSON has no line breaks in it."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
