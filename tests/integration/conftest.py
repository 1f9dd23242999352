import json
import socket
import threading
from contextlib import closing, contextmanager

import pytest

import pinocchio_agentmode
from pinocchio_core.bootstrap import assemble
from pinocchio_core.plugin import ToolDefinition, hookimpl
from pinocchio_core.settings import Address
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp, make_app, make_host
from pinocchio_core.web import at_once
from pinocchio_core.web.listening import bind
from pinocchio_core.web.server import Server
from pinocchio_plugins import calculator, echo, starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

DEADLINE_S = 60
PROFILES = "/api/chat/profiles"


class Tools:
    """Tools with short names."""

    @hookimpl
    def pinocchio_tools(self):
        return [ToolDefinition(name, description="", arguments_schema={"type": "object"}, call=str) for name in "abt"]


SHIPPED = (SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode, calculator, echo, Tools)


@pytest.fixture(scope="session")
def shipped():
    """The plugins of the runbook, for tests that make an app with further ones."""
    return SHIPPED


@pytest.fixture
def app():
    with make_app(*SHIPPED) as made:
        yield made


@pytest.fixture
def opened():
    """`with opened(path, plugin, …) as app:`, the app over a database of one's own, which stays."""
    return _opened


@contextmanager
def _opened(path, *plugins):
    with closing(assemble(make_host(*plugins), dsn_of_path(str(path)), default_registry="default")) as program:
        yield TestApp(program)


@pytest.fixture(scope="session")
def running():
    """`with running(app) as server:`, a WSGI app on a `port` and a `thread` of its own.

    `send_bytes` is about how much the system takes of an answer before the client reads; `options` are the server's.
    """
    return _running


@contextmanager
def _running(app, threads=2, rule=at_once.nothing, send_bytes=None, **options):
    sockets = bind(Address(host="127.0.0.1", port=0))
    if send_bytes:
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    server = Server(app, sockets, threads=threads, rule=rule, **options)
    server.port = sockets[0].getsockname()[1]
    server.thread = threading.Thread(target=server.run)
    server.thread.start()
    try:
        yield server
    finally:
        server.stop()
        server.thread.join(DEADLINE_S)
        assert not server.thread.is_alive()


@pytest.fixture
def expect_problem():
    """Checks a problem document as a whole and returns it; `fields` are the fields of all its errors, in any order."""
    return _expect_problem


@pytest.fixture
def nothing_written():
    """A context in which an app must not write: no profile, registry or revision is another one afterwards."""
    return _nothing_written


@pytest.fixture
def revisions():
    """The history of one profile, oldest first, as `(version, op)`."""

    def read(app, slug, registry="default"):
        sql = "SELECT version, op FROM profile_revisions WHERE registry_slug = ? AND slug = ? ORDER BY seq"
        return app.program.store.database.rows(sql, (registry, slug))

    return read


def _expect_problem(answer, status, title, *fields):
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.body)
    required = {"type": str, "title": str, "status": int, "detail": str, "request_id": str, "code": str}
    optional = {"errors": list, "next_step": str, "current": dict, "conflict": dict, "dependents": list}
    assert required.keys() <= problem.keys() <= required.keys() | optional.keys()
    for member, value in problem.items():
        assert type(value) is (required | optional)[member], member
        assert value or member == "detail", member
    assert (problem["status"], problem["title"]) == (status, title), problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["code"].replace("_", "").isalnum()
    assert problem["code"].islower()
    assert ("errors" in problem) == (status == 400 or bool(fields))
    for error in problem.get("errors", ()):
        assert {"field", "reason"} <= error.keys() <= {"field", "reason", "expected", "actual"}
        assert all(isinstance(value, str) and value for value in error.values())
    if fields:
        assert sorted(error["field"] for error in problem["errors"]) == sorted(fields)
    if status == 400:
        first, more = problem["errors"][0], len(problem["errors"]) - 1
        told = f"validation error ({first['field']}): {first['reason']}" + (f"; and {more} more" if more else "")
        assert problem["detail"] == told
    return problem


@contextmanager
def _nothing_written(app):
    app.program.health.scan()  # what is not well is known before and after
    before = _state(app)
    yield
    assert _state(app) == before


def _state(app):
    database = app.program.store.database
    rows = []
    for table in (
        "profile_registries",
        "profiles",
        "profile_revisions",
        "profile_labels",
        "profile_label_moves",
        "profile_extends",
    ):
        columns = [row[1] for row in database.rows(f"PRAGMA table_info({table})")]
        as_hex = ", ".join(f"hex({column})" for column in columns)  # a damaged column may be no text
        rows.append(database.rows(f"SELECT {as_hex} FROM {table} ORDER BY 1, 2, 3"))
    return rows, app.get(PROFILES).body, app.get("/api/chat/registries").body
