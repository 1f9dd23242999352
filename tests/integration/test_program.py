"""A program that is put together and closed: all of it ends, whatever fails of it."""

import gc
import os
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import hookimpl
from pinocchio_core.service.changes.endpoints import Endpoint
from pinocchio_core.service.changes.webhooks import WEBHOOK_LEASE
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.sqlite.presence import servers_with
from pinocchio_core.store.tables.facts import Facts

DEADLINE_S = 60
WEBHOOK = Endpoint(
    name="ci",
    url="http://127.0.0.1:1/",
    secret=b"a secret of the receiver",
    registries=None,
    ops=None,
    timeout_s=1,
    from_beginning=False,
    give_up_s=1000,
)


class Told:
    """A plugin that remembers what it was told."""

    def __init__(self):
        self.hooks = []

    @hookimpl
    def pinocchio_startup(self, info):
        self.hooks.append("startup")

    @hookimpl
    def pinocchio_shutdown(self):
        self.hooks.append("shutdown")


class Interrupted:
    """A plugin that Ctrl-C meets while it shuts down."""

    @hookimpl
    def pinocchio_shutdown(self):
        raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "profiles.db"


@pytest.fixture
def assembled(path):
    """`assembled(plugin)`: a program with a webhook, on a database for which it waits a moment only."""

    def make(*plugins):
        dsn = parse_dsn(f"file:{path}?_journal_mode=WAL&_busy_timeout=50")
        return assemble(Host(given_plugins(plugins)), dsn, default_registry="default", more=More(webhooks=[WEBHOOK]))

    return make


@pytest.fixture
def everything_ended(path):
    """Check that no thread, no lock and no open file is left of a program."""
    before = set(threading.enumerate())

    def check(*, files=True):
        assert set(threading.enumerate()) == before
        assert servers_with(path) is None
        gc.collect()  # errors of older versions of Peewee hold a statement in a circle, and that its file
        if files and sys.platform == "linux":
            assert not [name for name in open_files() if name.startswith(str(path.with_suffix("")))]

    return check


def open_files():
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  names are numbers
        try:
            yield os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except FileNotFoundError:
            continue  # that of the folder itself


@contextmanager
def locked(path):
    """As long as the block runs, somebody else writes."""
    with connected(path, mode="rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def until_it_tells_webhooks(program):
    facts = Facts(program.store.database)
    deadline = time.monotonic() + DEADLINE_S
    while facts.read(WEBHOOK_LEASE) is None:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_a_program_that_is_closed_leaves_nothing_and_tells_plugins_once(assembled, everything_ended):
    told = Told()
    program = assembled(told)
    program.close()
    program.close()
    everything_ended()
    assert told.hooks == ["startup", "shutdown"]


def test_a_database_that_is_locked_does_not_keep_a_program_from_closing(assembled, everything_ended, path, caplog):
    told = Told()
    program = assembled(told)
    until_it_tells_webhooks(program)
    with locked(path):
        program.close()
        assert servers_with(path) is None
    assert "another server tells webhooks only after a minute: store unavailable: the database is locked" in caplog.text
    everything_ended(files=False)  # the record of the warning holds the error, and that a statement with older Peewees
    assert told.hooks == ["startup", "shutdown"]


def test_a_step_of_closing_that_fails_keeps_no_other_from_being_done(assembled, everything_ended):
    program = assembled(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        program.close()
    everything_ended()


def test_a_program_that_cannot_be_put_together_leaves_nothing(assembled, everything_ended, path):
    assembled().close()
    told = Told()
    with locked(path), pytest.raises(StoreUnavailable, match="the database is locked"):
        assembled(told)  # what the webhook was told cannot be written
    everything_ended()
    assert told.hooks == ["startup", "shutdown"]
