"""Group commit: changes share a transaction, and nobody notices but by the time it takes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.faults import faults, mapped
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.group_commit import GroupCommit
from pinocchio_core.store.sqlite.library import library

THREADS = 6
_ADD = "INSERT INTO t VALUES (?)"


class Refused(Exception):
    """What a change says of itself."""


class Group:
    """A group commit over a database, its transactions counted."""

    def __init__(self, database: Database, until: Callable[[Callable[[], Any]], Any]) -> None:
        self.database = database
        self.began = 0
        self._until = until
        self.commit = GroupCommit(
            self._transaction,
            database.gate,
            faults=mapped,
            progress=lambda: library().progress(database.connect()),
        )
        self._pool = ThreadPoolExecutor(THREADS)

    def together(self, *works: Callable[[], Any]) -> list[Future[Any]]:
        """Do the works in as many threads and in this order, with all waiting while the first is done."""

        def first() -> Any:
            everybody_waits.wait(30)
            return works[0]()

        everybody_waits = threading.Event()
        futures = [self._pool.submit(self.commit.run, first)]
        self._until(lambda: self.began)  # the first one leads
        for number, work in enumerate(works[1:], start=1):
            futures.append(self._pool.submit(self.commit.run, work))
            self._until(lambda number=number: self.commit.waiting == number)
        everybody_waits.set()
        for future in futures:
            future.exception(30)
        return futures

    def add(self, number: int) -> int:
        self.database.run(_ADD, (number,))
        return number

    def numbers(self) -> list[int]:
        return [row[0] for row in self.database.rows("SELECT x FROM t ORDER BY x")]

    def close(self) -> None:
        self._pool.shutdown()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.database.write():
            self.began += 1
            yield


@pytest.fixture
def group(path: Path, until: Callable[[Callable[[], Any]], Any]) -> Iterator[Group]:
    create_file(path)
    database = Database(parse_dsn(f"file:{path}?_journal_mode=WAL&_busy_timeout=60000&_foreign_keys=1"))
    with database.write():
        database.run("CREATE TABLE t (x)")
        database.run("CREATE TABLE parent (x PRIMARY KEY)")
        database.run("CREATE TABLE child (x REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    group = Group(database, until)
    yield group
    group.close()
    database.close()


def adding(group: Group, number: int) -> Callable[[], int]:
    return lambda: group.add(number)


def test_changes_that_come_while_one_is_made_are_made_in_its_transaction(group: Group) -> None:
    futures = group.together(*(adding(group, number) for number in range(THREADS)))
    assert [future.result() for future in futures] == group.numbers() == list(range(THREADS))
    assert group.began == 1


def test_each_change_sees_those_before_it_in_its_transaction(group: Group) -> None:
    def look() -> list[int]:
        seen = group.numbers()
        group.add(len(seen))
        return seen

    assert [future.result() for future in group.together(look, look, look)] == [[], [0], [0, 1]]


def test_a_change_that_is_refused_before_it_writes_is_refused_alone(group: Group) -> None:
    def refuse() -> None:
        raise Refused

    first, refused, last = group.together(adding(group, 1), refuse, adding(group, 2))
    assert isinstance(refused.exception(), Refused)
    assert (first.result(), last.result(), group.numbers(), group.began) == (1, 2, [1, 2], 1)


def test_of_a_change_that_fails_halfway_nothing_is_kept_and_the_others_are_made(group: Group) -> None:
    def fail() -> None:
        group.add(99)
        raise Refused

    first, failed, last = group.together(adding(group, 1), fail, adding(group, 2))
    assert isinstance(failed.exception(), Refused)
    assert (first.result(), last.result(), group.numbers()) == (1, 2, [1, 2])


def test_a_change_that_cannot_be_committed_fails_alone(group: Group) -> None:
    def orphan() -> None:
        group.database.run("INSERT INTO child VALUES (1)")

    first, failed, last = group.together(adding(group, 1), orphan, adding(group, 2))
    assert isinstance(failed.exception(), faults())
    assert (first.result(), last.result(), group.numbers()) == (1, 2, [1, 2])
    assert group.database.rows("SELECT * FROM child") == []


def test_a_change_that_ends_the_transaction_by_itself_takes_no_other_with_it(group: Group) -> None:
    def end() -> None:
        group.database.run("ROLLBACK")
        raise Refused

    first, failed, last = group.together(adding(group, 1), end, adding(group, 2))
    assert isinstance(failed.exception(), Refused)
    assert (first.result(), last.result(), group.numbers()) == (1, 2, [1, 2])


def test_who_waits_longer_than_the_busy_timeout_gives_up_and_does_not_come_back(group: Group) -> None:
    group.database.gate.timeout_s = 0.1
    with group.database.gate.hold(), ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(group.commit.run, adding(group, number)) for number in range(2)]
        for future in futures:
            assert isinstance(future.exception(30), StoreUnavailable)
    assert group.commit.run(adding(group, 7)) == 7
    assert (group.numbers(), group.commit.waiting) == ([7], 0)


def test_nobody_is_forgotten_when_the_lead_goes_from_hand_to_hand(group: Group) -> None:
    def count() -> int:
        seen = len(group.numbers())
        group.add(seen)
        if seen % 7 == 3 and threading.get_ident() % 2:
            raise Refused
        return seen

    def often() -> list[int]:
        counted = []
        while len(counted) < 100:
            try:
                counted.append(group.commit.run(count))
            except Refused:
                continue
        return counted

    with ThreadPoolExecutor(THREADS) as pool:
        counted = [number for future in [pool.submit(often) for _ in range(THREADS)] for number in future.result(60)]
    assert sorted(counted) == group.numbers() == list(range(100 * THREADS))
