"""Server-sent events of a turn that runs in a thread of its own (HTML standard, section 9.2)."""

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pinocchio_core.domain.turns import Emit, Event
from pinocchio_core.errors import TurnCancelled
from pinocchio_core.web.outlets import Outlet

HEARTBEAT: Final = b": still here\n\n"
PATIENCE_S: Final = 30.0
"""How long a turn waits for a client that does not read what it is sent."""

Work = Callable[[Emit], bytes]
Problem = Callable[[BaseException], dict[str, Any]]


class TurnEvents:
    """Runs one turn and tells of it as events; a client that goes cancels it."""

    def __init__(self, work: Work, problem: Problem) -> None:
        """`work` runs the turn and returns its answer as JSON; `problem` makes the data of the event `error`."""
        self._work = work
        self._problem = problem

    def send(self, outlet: Outlet) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, args=(outlet,), name="turn", daemon=True).start()

    def _run(self, outlet: Outlet) -> None:
        def emit(event: Event) -> None:
            if outlet.gone:
                raise TurnCancelled
            if event.type == "delta" and not event.data.get("text"):
                return  # a sign of life from the engine
            data = msgspec.json.encode(dict(event.data), enc_hook=str)
            if not outlet.write(_event(event.type, data), wait_s=PATIENCE_S):
                raise TurnCancelled

        try:
            outlet.write(_event("done", self._work(emit)), wait_s=PATIENCE_S)
        except TurnCancelled:
            pass
        except BaseException as error:  # noqa: BLE001  it is told, and logged by `problem`
            outlet.write(_event("error", msgspec.json.encode(self._problem(error))), wait_s=PATIENCE_S)
        finally:
            outlet.close()


def _event(name: str, data: bytes) -> bytes:
    """One event; JSON has no line breaks in it."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
