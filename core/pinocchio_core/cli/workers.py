"""Several server processes behind the same sockets, under one parent that does nothing but look after them.

The parent never opens the database and never has a thread, so that it can fork a worker at any time. Each worker is
a whole server. The first one starts alone, so that what keeps a server from starting is said once.
"""

import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, field

from pinocchio_core.cli.cores import pin
from pinocchio_core.errors import SettingsError, StartupError
from pinocchio_core.web.server import DRAIN_S

DEATHS: Final = 5
"""A worker that ends so often within DEATHS_WITHIN_S ends the program."""
DEATHS_WITHIN_S: Final = 30.0
MARGIN_S: Final = 6.0
"""How long after the time to finish requests a worker may take to close before it is killed."""
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("pinocchio")


class Worker(Struct, frozen=True, kw_only=True):
    """What a worker process is told by its parent."""

    number: int
    """From 1."""
    announces: bool
    """Whether it is the first process of all, which says for all of them where they serve and what."""
    core: int | None
    lifeline: int
    """A pipe that ends when the parent does."""
    readiness: int
    """A pipe that takes its number once it serves."""

    def ready(self, stop: Callable[[], None]) -> None:
        """Tell the parent that this worker serves; `stop` is called when the parent has ended."""
        os.write(self.readiness, bytes([self.number]))
        log.info(str(self))  # whoever reads this may rely on the parent's knowing it
        threading.Thread(target=self._outlive, args=(stop,), name="parent", daemon=True).start()

    def __str__(self) -> str:
        where = "" if self.core is None else f" on core {self.core}"
        return f"worker {self.number} (process {os.getpid()}){where}"

    def _outlive(self, stop: Callable[[], None]) -> None:
        os.read(self.lifeline, 1)
        log.error("worker %d (process %d): the parent process has ended", self.number, os.getpid())
        stop()


class _Place(Struct):
    """A worker as its parent sees it: one process after another."""

    number: int
    pid: int | None = None
    served: bool = False
    ends: deque[float] = field(default_factory=deque)
    start_at: float | None = None

    def pause_s(self, now: float) -> float | None:
        """How long to wait before the next process, which has just ended; `None` where it ended too often."""
        self.ends.append(now)
        while self.ends[0] < now - DEATHS_WITHIN_S:
            self.ends.popleft()
        if len(self.ends) >= DEATHS:
            return None
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (len(self.ends) - 1))


class Workers:
    """The parent of `count` workers, each of which runs `serve`."""

    def __init__(
        self,
        serve: Callable[[Worker], None],
        sockets: Sequence[socket.socket],
        *,
        count: int,
        cores: Sequence[int] = (),
        patience_s: float = DRAIN_S + MARGIN_S,
    ) -> None:
        """`cores` are handed out in turn; empty to leave the workers where the system puts them.

        A worker that still runs `patience_s` after it was asked to end is killed.

        Raises:
            SettingsError: the platform cannot do it.
        """
        if not hasattr(os, "fork"):
            raise SettingsError("this platform cannot run several workers", next_step="leave --workers at 1")
        self._serve = serve
        self._sockets = sockets
        self._cores = cores
        self._patience_s = patience_s
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._announced = False
        self._kill_at: float | None = None
        self._failure: BaseException | None = None
        self._lifeline = os.pipe()
        self._readiness = os.pipe()
        self._wakeup = socket.socketpair()
        os.set_blocking(self._readiness[0], False)
        for end in self._wakeup:
            os.set_blocking(end.fileno(), False)

    def run(self) -> None:
        """Look after the workers until SIGTERM or SIGINT, then until the last one has ended.

        Raises:
            StartupError: workers end by themselves, before they serve or again and again.
            SystemExit: a worker could not start and has said why; in a worker, that it has ended.
        """
        self._listen()
        self._places[0].start_at = time.monotonic()
        try:
            while self._kill_at is None or any(place.pid for place in self._places):
                self._start_those_due()
                self._wait()
                self._bury()
                self._kill_those_late()
        finally:
            self._signal(signal.SIGKILL)
        if self._failure:
            raise self._failure
        log.info("stopped")

    def _listen(self) -> None:
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda _, __: None)  # the number arrives at the wakeup socket
        signal.set_wakeup_fd(self._wakeup[1].fileno(), warn_on_full_buffer=False)

    def _wait(self) -> None:
        """Return when there is something to do."""
        times = [place.start_at for place in self._places if place.start_at is not None]
        times += [] if self._kill_at is None else [self._kill_at]
        timeout_s = max(0.0, min(times) - time.monotonic()) if times else None
        select.select([self._wakeup[0].fileno(), self._readiness[0]], [], [], timeout_s)
        try:
            received = os.read(self._wakeup[0].fileno(), 4096)
        except BlockingIOError:
            received = b""
        self._note_readiness()
        if set(received) & set(_SIGNALS):
            self._stop()

    def _note_readiness(self) -> None:
        try:
            numbers = os.read(self._readiness[0], 4096)
        except BlockingIOError:
            return
        for number in numbers:
            self._places[number - 1].served = True
        if self._announced or self._kill_at is not None:
            return
        self._announced = True
        for place in self._places[1:]:
            place.start_at = time.monotonic()

    # one process after another

    def _start_those_due(self) -> None:
        for place in self._places:
            if place.start_at is not None and place.start_at <= time.monotonic():
                place.start_at = None
                self._fork(place)

    def _fork(self, place: _Place) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (*_SIGNALS, signal.SIGCHLD))
        try:
            pid = os.fork()
            if pid == 0:
                self._leave_the_parents_things()
            else:
                place.pid = pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if pid == 0:
            self._work(place.number)

    def _leave_the_parents_things(self) -> None:
        """In a worker: the parent's other children and its signals are not this process's."""
        self._places = []
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent passes it on as SIGTERM
        for end in self._wakeup:
            end.close()
        os.close(self._lifeline[1])
        os.close(self._readiness[0])

    def _work(self, number: int) -> None:
        core = self._cores[(number - 1) % len(self._cores)] if self._cores else None
        if core is not None:
            pin(core)
        self._serve(
            Worker(
                number=number,
                announces=not self._announced,
                core=core,
                lifeline=self._lifeline[0],
                readiness=self._readiness[1],
            )
        )
        sys.exit(0)

    def _bury(self) -> None:
        """Take note of workers that have ended."""
        for place in self._places:
            pid = place.pid
            ended, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
            if pid and ended:
                place.pid = None
                self._note_readiness()  # what it said before it ended
                if self._kill_at is None:
                    self._replace(place, pid, os.waitstatus_to_exitcode(status))

    def _replace(self, place: _Place, pid: int, code: int) -> None:
        who, now = f"worker {place.number} (process {pid}) {_ending(code)}", time.monotonic()
        pause_s = place.pause_s(now)
        if not place.served:
            said_why = code in {1, 2}
            self._fail(SystemExit(code) if said_why else StartupError(f"{who} before it served"))
        elif pause_s is None:
            text = f"{who}, the end number {DEATHS} of this worker within {DEATHS_WITHIN_S:.0f} s"
            self._fail(StartupError(text, next_step="see above what it logged before, and try --workers 1"))
        else:
            log.error("%s; another process takes its place in %g s", who, pause_s)
            place.start_at = now + pause_s

    # the end

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._stop()

    def _stop(self) -> None:
        """Ask every worker to end; a second time changes nothing."""
        if self._kill_at is not None:
            return
        self._kill_at = time.monotonic() + self._patience_s
        for each in self._sockets:
            each.close()
        for place in self._places:
            place.start_at = None
        self._signal(signal.SIGTERM)

    def _kill_those_late(self) -> None:
        if self._kill_at is None or time.monotonic() < self._kill_at:
            return
        late = [str(place.number) for place in self._places if place.pid]
        if late:
            log.error("killed worker %s, still running %g s after it was to stop", ", ".join(late), self._patience_s)
        self._signal(signal.SIGKILL)
        self._kill_at += 1.0

    def _signal(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
