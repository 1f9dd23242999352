"""For authors of plugins: a host and an app of one's own in a test, and one check that covers the contract.

from pinocchio_core.testing import check_plugin, make_app
import acme_shout

def test_the_plugin_keeps_the_contract():
    check_plugin(acme_shout)

def test_its_config_is_enforced():
    with make_app(acme_shout) as app:
        use = {"name": "shout", "config": {"unknown": 1}}
        answer = app.post("/api/chat/profiles", {"slug": "x", "runtime": {"middlewares": [use]}})
        assert answer.status == 400
"""

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

import msgspec

from pinocchio_core.bootstrap import Program, assemble
from pinocchio_core.host.contributions import Contribution, contribution_of
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.host.loader import load_plugins, reason_of
from pinocchio_core.host.records import PluginRecord
from pinocchio_core.plugin.types import MiddlewareDefinition
from pinocchio_core.service.seeding import check_seeds
from pinocchio_core.store.dsn import dsn_of_path

__all__ = ["Answer", "TestApp", "check_plugin", "defaults_of", "make_app", "make_host"]


def make_host(*plugins: Any) -> Host:
    """A host of these modules, objects or classes alone; entry points are not looked at.

    Raises:
        PluginsFailed: one of them is not sound.
    """
    host = Host(given_plugins(plugins))
    host.require_sound()
    return host


@dataclass(frozen=True)
class Answer:
    """An answer of the app."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class TestApp:
    """The whole app over a temporary database, called without a socket."""

    __test__ = False  # for pytest, which would take it for a test

    def __init__(self, program: Program) -> None:
        self.program = program

    def get(self, path: str, **headers: str) -> Answer:
        """GET; `if_none_match="…"` sends the header If-None-Match."""
        return self.request("GET", path, **headers)

    def post(self, path: str, document: Any = None, **headers: str) -> Answer:
        """POST a JSON document."""
        return self.request("POST", path, document, **headers)

    def patch(self, path: str, document: Any = None, **headers: str) -> Answer:
        """PATCH with a JSON document."""
        return self.request("PATCH", path, document, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, **headers)

    def request(self, method: str, path: str, document: Any = None, **headers: str) -> Answer:
        """Any request; a document that is bytes is sent as it is, everything else as JSON."""
        body = document if isinstance(document, bytes) else b"" if document is None else msgspec.json.encode(document)
        path, _, query = path.partition("?")
        decoded = unquote_to_bytes(path).decode("latin-1")  # as a server does, PEP 3333
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": decoded, "QUERY_STRING": query}
        setup_testing_defaults(environ)
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1"}
        if body:
            environ["CONTENT_TYPE"] = "application/json"
        for name, value in headers.items():
            environ["CONTENT_TYPE" if name == "content_type" else f"HTTP_{name.upper()}"] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, sent: list[tuple[str, str]], _: Any = None, /) -> Callable[[bytes], object]:
            started.append((status, sent))
            return lambda _: None

        chunks = self.program.app(environ, start_response)
        status, sent = started[0]
        return Answer(int(status[:3]), {name.lower(): value for name, value in sent}, b"".join(chunks))


@contextmanager
def make_app(*plugins: Any, default_registry: str = "default") -> Iterator[TestApp]:
    """The app with these plugins alone, over a database that is gone afterwards.

    Raises:
        PluginsFailed: one of them is not sound.
    """
    with tempfile.TemporaryDirectory() as folder:
        dsn = dsn_of_path(str(Path(folder) / "profiles.db"))
        program = assemble(Host(given_plugins(plugins)), dsn, default_registry=default_registry)
        try:
            yield TestApp(program)
        finally:
            program.close()


def check_plugin(plugin: Any) -> None:
    """Check a plugin against the contract; AssertionError says what is wrong.

    Hooks fit their specifications, names are legal, schemas are valid and self-contained, the defaults of a config
    schema are valid under it, `build` works on them, and bootstrap profiles pass the checks of a create request.
    """
    loaded, faults = load_plugins(given_plugins([plugin]))
    assert not faults, faults[0].line()
    contribution = contribution_of(loaded[0])
    assert not isinstance(contribution, PluginRecord), contribution.detail
    _check_middlewares(contribution)
    host = Host(given_plugins([plugin]))
    assert not host.faults, host.faults[0].line()
    check_seeds(host, registry="default")
    assert not host.faults, host.faults[0].line()


def _check_middlewares(contribution: Contribution) -> None:
    for entry in contribution.middlewares:
        definition = entry.definition
        what = f"middleware {definition.name!r}"
        config = defaults_of(definition)
        needed = set(definition.config_schema.get("required", ())) - set(config)
        found = [str(problem) for problem in entry.problems(config) if not (needed and problem.missing)]
        assert not found, f"{what}: the defaults of its schema are not valid under it: {found[0]}"
        if needed:
            continue  # a config cannot be left out, so there is none to build from
        try:
            built = definition.build(config)
        except Exception as error:
            raise AssertionError(f"{what}: build raised {reason_of(error)} for the defaults {config}") from error
        assert callable(built), f"{what}: build returned something that cannot be called"


def defaults_of(definition: MiddlewareDefinition) -> dict[str, Any]:
    """The config that a use of the middleware has where none is given: the defaults of its schema's properties."""
    properties = definition.config_schema.get("properties", {})
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    }
