"""Group commit: changes that come while another one is being made are made in one transaction with it.

Most of what a small change costs is its transaction: the pages of all the indexes it touches, and the wait for the
disk. Several share these as if they had been one. Nobody is answered before the transaction is on the disk.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from pinocchio_core.store.sqlite.gate import WriteGate

T = TypeVar("T")


class _Member(Generic[T]):
    """A change that waits to be made, and then for the end of the transaction it was made in."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.began = time.monotonic()
        self.waits = False
        self.leads = False
        self.turn = threading.Lock()
        """Held until its thread is to go on."""
        self.turn.acquire()
        self._work = work
        self._result: T
        self._error: BaseException | None = None

    def make(self) -> bool:
        """Do the work; False where it failed."""
        self._error = None
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001  for its own thread, see `outcome`
            self._error = error
            return False
        return True

    def fail(self, error: BaseException) -> None:
        """What was made does not last."""
        self._error = self._error or error

    def outcome(self) -> T:
        """What the work returned, or what it or its transaction raised."""
        if self._error is not None:
            raise self._error
        return self._result


class _Halfway(Exception):
    """Ends a transaction in which a change failed after it had begun to write."""


class GroupCommit:
    """The changes that threads want to be made now.

    The first to come leads: its thread opens the transaction and makes the others' changes too, one after the other,
    until nobody waits any more. Then it commits and wakes them, and who came meanwhile leads the next ones.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[None]],
        gate: WriteGate,
        *,
        faults: Callable[[], AbstractContextManager[None]],
        progress: Callable[[], object],
    ) -> None:
        """`faults` turns exceptions of the database into this program's own.

        `progress` is another one after a change that has written something, or has ended the transaction.
        """
        self._transaction = transaction
        self._gate = gate
        self._faults = faults
        self._progress = progress
        self._lock = threading.Lock()
        self._waiting: list[_Member[Any]] = []
        self._is_led = False

    @property
    def waiting(self) -> int:
        """How many changes are to be made, and are not being made yet."""
        return len(self._waiting)

    def run(self, work: Callable[[], T]) -> T:
        """Do a piece of work in a transaction; returns what it returns, or raises what it raises, after the commit.

        `work` may run in another thread, and once more where the transaction failed because of another one's: it
        begins with a look at what is stored, and changes nothing but the database.

        Raises:
            StoreUnavailable: its turn did not come within the busy timeout, or the transaction failed.
        """

        def work_of_ours() -> T:
            with self._faults():
                return work()

        member = _Member(work_of_ours)
        with self._lock:
            self._waiting.append(member)
            member.waits, self._is_led = self._is_led, True
            member.leads = not member.waits
        if member.waits:
            self._wait(member)
        if member.leads:
            self._lead(member)
        return member.outcome()

    def _wait(self, member: _Member[Any]) -> None:
        """Wait until the change is made, or is to lead."""
        if member.turn.acquire(timeout=self._gate.timeout_s):
            return
        with self._lock:
            if member in self._waiting and not member.leads:
                self._waiting.remove(member)
                raise self._gate.gave_up()
        member.turn.acquire()

    def _lead(self, leader: _Member[Any]) -> None:
        group: list[_Member[Any]] = []
        try:
            self._make_together(group)
        except Exception as error:  # noqa: BLE001  those whom it concerns raise it
            if len(group) > 1:
                for member in group:
                    self._make_alone(member)
            else:
                leader.fail(error)
        except BaseException as error:  # noqa: BLE001  as above
            for member in group or [leader]:
                member.fail(error)
        self._hand_over(leader, group)

    def _hand_over(self, leader: _Member[Any], group: list[_Member[Any]]) -> None:
        """Wake those whose changes were made, and who is to lead next."""
        with self._lock:
            if leader in self._waiting:  # the transaction did not begin
                self._waiting.remove(leader)
            following = self._waiting[:1]
            self._is_led = bool(following)
            for member in following:
                member.leads = True
        for member in group + following:
            member.turn.release()

    def _make_together(self, group: list[_Member[Any]]) -> None:
        """Make the changes of all who wait, and put them into the group."""
        with self._transaction():
            while member := self._next():
                group.append(member)
                self._make(member)

    def _make_alone(self, member: _Member[Any]) -> None:
        """Make a change after its group has failed, so that it fails for its own reasons only."""
        try:
            with self._transaction():
                self._make(member)
        except BaseException as error:  # noqa: BLE001  its thread raises it
            member.fail(error)

    def _make(self, member: _Member[Any]) -> None:
        before = self._progress()
        if not member.make() and self._progress() != before:
            raise _Halfway

    def _next(self) -> _Member[Any] | None:
        with self._lock:
            member = self._waiting.pop(0) if self._waiting else None
        if member and member.waits:
            self._gate.has_waited(time.monotonic() - member.began)
        return member
