"""A host and an app of a test's own, with the plugins that it names and no others."""

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
from pinocchio_core.host.discovery import given_plugins, installed_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path


def make_host(*plugins: Any) -> Host:
    """A host of these modules, objects or classes alone; entry points are not looked at.

    Raises:
        PluginsFailed: one of them is not sound.
    """
    host = Host(given_plugins(plugins))
    host.require_sound()
    return host


def installed(*names: str) -> list[Any]:
    """Plugins that are installed, by their names, to go with one's own: `make_app(acme_shout, *installed("echo"))`.

    Raises:
        LookupError: there is none of such a name.
    """
    found = {candidate.name: candidate for candidate in installed_plugins()}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise LookupError(f"no plugin {', '.join(unknown)} is installed; there are: {', '.join(sorted(found))}")
    return [found[name].load() for name in names]


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
        uri = path
        path, _, query = path.partition("?")
        decoded = unquote_to_bytes(path).decode("latin-1")  # as a server does, PEP 3333
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": decoded, "QUERY_STRING": query}
        setup_testing_defaults(environ)
        environ |= {
            "REQUEST_URI": uri,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
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
