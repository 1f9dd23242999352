"""What profiles pay for stacks that have none: one lookup for a write, and nothing for a turn."""

from contextlib import closing

import pytest

from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.resolving import ResolveService
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.seeding import fill
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.layouts.migrations import migrate
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.extends import FOLLOWING
from pinocchio_core.store.tables.rows import Author

ANN = Author(actor="ann", source="test")


class Noting(Database):
    """A database that remembers which statements it was asked for."""

    def __init__(self, dsn):
        self.asked = []
        super().__init__(dsn)

    def rows(self, sql, parameters=()):
        self.asked.append(sql)
        return super().rows(sql, parameters)

    def run(self, sql, parameters=()):
        self.asked.append(sql)
        return super().run(sql, parameters)

    def told(self, act):
        """The statements of one call."""
        self.asked.clear()
        act()
        return list(self.asked)


@pytest.fixture
def database(tmp_path):
    with closing(Noting(dsn_of_path(str(tmp_path / "profiles.db")))) as database:
        migrate(database)
        yield database


@pytest.fixture
def host(shipped):
    return Host(given_plugins(shipped))


@pytest.fixture
def store(database, host):
    store = Store(database)
    fill(store, host, registry="default", strict=True)
    return store


def test_a_write_of_a_profile_without_a_stack_has_one_lookup_more(database, host, store):
    writes = ProfileWrites(store, host, RowHealth(store, Validation(host)), default_registry="default")

    def patch(text):
        body = b'{"runtime": {"system_prompt": "%s"}}' % text
        return writes.write("update", Target(slug="default"), body, author=ANN)

    asked = database.told(lambda: patch(b"one"))
    assert [sql for sql in asked if "profile_extends" in sql or "profile_labels" in sql] == [FOLLOWING]
    described = database.told(
        lambda: writes.write("update", Target(slug="default"), b'{"description": "x"}', author=ANN)
    )
    assert not [sql for sql in described if "profile_extends" in sql]


def test_a_turn_of_a_profile_without_a_stack_reads_its_row_and_nothing_else(database, host, store):
    service = ResolveService(store, host, OperatorConfigs(host.catalog, environment={}), default_registry="default")
    service.resolve("default", "default")
    assert len(database.told(lambda: service.resolve("default", "default"))) == 1
