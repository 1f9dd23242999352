"""The file at the path of an open database: which one is served, and when it is another one."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinocchio_core.errors import DatabaseRefused, StoreUnavailable
from pinocchio_core.store.sqlite.gate import WriteGate, gate_path
from pinocchio_core.store.sqlite.served_file import ServedFile
from pinocchio_core.store.sqlite.tally import Tally

Looking = list[Callable[[], None]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "profiles.db"
    path.write_text("first")
    return path


@pytest.fixture
def looking() -> Looking:
    """What is done, one after the other, each time a file is looked at."""
    return []


@pytest.fixture
def served(path: Path, looking: Looking) -> Iterator[ServedFile]:
    gate = WriteGate(gate_path(path), timeout_ms=1000)
    yield ServedFile(
        path, gate, Tally(), admit=lambda: looking.pop(0)() if looking else None, make=None, drop=lambda: None
    )
    gate.close()


def replace(path: Path, text: str) -> None:
    fresh = path.with_name("fresh.db")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_file_that_is_replaced_once_more_while_it_is_looked_at_is_looked_at_again(
    served: ServedFile, path: Path, looking: Looking
) -> None:
    served.keep_watch()
    replace(path, "second")
    looking.append(lambda: replace(path, "third"))
    with pytest.raises(StoreUnavailable, match="removed or replaced while it was looked at"):
        served.require_same()
    with pytest.raises(StoreUnavailable, match="was replaced and is being looked at"):
        served.require_there()
    assert not served.looks_the_same()
    with pytest.raises(StoreUnavailable, match="which is served from now on"):
        served.require_same()
    assert served.looks_the_same()
    served.require_there()


def test_a_file_that_is_removed_while_it_is_looked_at_is_gone(served: ServedFile, path: Path, looking: Looking) -> None:
    served.keep_watch()
    replace(path, "second")
    looking.append(path.unlink)
    with pytest.raises(StoreUnavailable, match="removed or replaced while it was looked at"):
        served.require_same()
    with pytest.raises(StoreUnavailable, match="is gone"):
        served.require_same()


def test_nobody_opens_a_file_before_it_was_looked_at(served: ServedFile, path: Path, looking: Looking) -> None:
    def look() -> None:
        with pytest.raises(StoreUnavailable, match="is being looked at"):
            served.require_there()
        raise DatabaseRefused("it is damaged", next_step="restore it")

    served.keep_watch()
    replace(path, "second")
    looking += [look, look]
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be served: it is damaged"):
            served.require_same()
        with pytest.raises(StoreUnavailable, match="cannot be served: it is damaged"):
            served.require_there()
    assert not looking


def test_a_file_that_is_replaced_while_it_is_opened_is_not_taken_for_the_one_that_was_opened(
    served: ServedFile, path: Path
) -> None:
    replace(path, "second")
    with pytest.raises(StoreUnavailable, match="removed or replaced while it was looked at"):
        served.keep_watch()


def test_a_log_that_cannot_be_removed_is_said_and_tried_again(served: ServedFile, path: Path) -> None:
    served.keep_watch()
    log = path.with_name("profiles.db-wal")
    log.mkdir()
    replace(path, "second")
    with pytest.raises(StoreUnavailable, match=r"cannot be served: .*profiles\.db-wal"):
        served.require_same()
    shutil.rmtree(log)
    with pytest.raises(StoreUnavailable, match="which is served from now on"):
        served.require_same()
    assert served.looks_the_same()
