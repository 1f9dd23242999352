"""Who gets which connection."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinocchio_core.store.sqlite.connections import Connections
from pinocchio_core.store.sqlite.dsn import file_uri
from pinocchio_core.store.sqlite.library import Connection, library


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Connections]:
    def connect() -> Connection:
        return library().open(file_uri(tmp_path / "some.db", "rwc"), timeout_s=1)

    made = Connections(for_writes=connect, for_reads=connect)
    yield made
    made.close()


def test_a_connection_is_one_readers_alone_until_it_is_put_back_and_the_last_one_put_back_comes_first(
    connections: Connections,
) -> None:
    one, other = connections.take(), connections.take()
    assert one.open() is one.open()
    assert len({id(slot.open()) for slot in (one, other, connections.writer)}) == 3
    connections.put_back(other)
    connections.put_back(one)
    assert [connections.take(), connections.take()] == [one, other]
    assert connections.take() not in (one, other)


def test_connections_are_closed_when_nobody_uses_them_and_opened_again_when_they_are_needed(
    connections: Connections,
) -> None:
    slot = connections.take()
    before = slot.open()
    closing = threading.Thread(target=connections.close)
    with slot.lock:
        closing.start()
        assert before.execute("SELECT 1").fetchall() == [(1,)]
    closing.join(30)
    assert slot.connection is None
    assert slot.open() is not before
    with pytest.raises((*library().errors, ValueError)):
        before.execute("SELECT 1")
