"""What the server is compared with: a bare Falcon app under waitress as it is, with as many threads.

`reference.py static THREADS FILE` answers GET and POST / with the bytes of FILE, after reading a body;
`reference.py here THREADS FILE` does so under this project's own server;
`reference.py dict THREADS DATABASE` answers GET /api/chat/profiles/SLUG from a dictionary in memory;
`reference.py select THREADS DATABASE` answers GET /api/chat/profiles/SLUG with the stored document;
`reference.py models THREADS DATABASE` answers GET / with the server's page of 100, built from models.
Prints its port, runs until SIGTERM.
"""

import json
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import falcon
import peewee
import waitress

from pinocchio_core.settings import Address
from pinocchio_core.web.listening import bind
from pinocchio_core.web.server import Server

REGISTRY = "default"
PAGE = 100
KEPT = 20_000


class Static:
    """The same bytes every time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Them."""
        resp.data = self._body
        resp.content_type = falcon.MEDIA_JSON

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Them, whatever was sent."""
        req.bounded_stream.read()
        self.on_get(req, resp)


class Dictionary:
    """The first documents of a database, kept in memory: what is left is Falcon's routing and the server."""

    def __init__(self, path: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT slug, payload_json FROM profiles ORDER BY slug LIMIT ?", (KEPT,))
            self._documents = {slug: payload.encode() for slug, payload in rows}

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """The document."""
        resp.data = self._documents[slug]
        resp.content_type = falcon.MEDIA_JSON


class Select:
    """One SELECT of ready-made JSON a request, and nothing else: no checks, no metrics, no entity tags."""

    def __init__(self, path: str) -> None:
        self._database = peewee.SqliteDatabase(path, pragmas={"synchronous": "FULL"}, check_same_thread=False)

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """The payload as it is stored."""
        self._database.connect(reuse_if_open=True)
        sql = "SELECT payload_json FROM profiles WHERE registry_slug = ? AND slug = ?"
        (payload,) = self._database.execute_sql(sql, (REGISTRY, slug)).fetchone()
        resp.data = payload.encode()
        resp.content_type = falcon.MEDIA_JSON


class Models:
    """A page of profiles the way a web application with an ORM makes it; connections are kept, which favours it."""

    def __init__(self, path: str) -> None:
        self._database = peewee.SqliteDatabase(path, pragmas={"synchronous": "FULL"}, check_same_thread=False)
        self._profile = profile_model(self._database)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The first page."""
        self._database.connect(reuse_if_open=True)
        model = self._profile
        query = model.select().where(model.registry_slug == REGISTRY).order_by(model.slug).limit(PAGE)
        resp.media = [self._item(row) for row in query]

    @staticmethod
    def _item(row: Any) -> dict[str, Any]:
        document = json.loads(row.payload_json)
        return {
            "slug": row.slug,
            "is_default": row.slug == "default",
            "version": row.version,
            "display_name": document.get("display_name"),
            "description": document.get("description"),
            "default_prompt": document["runtime"].get("system_prompt"),
            "extensions": document.get("extensions"),
        }


def profile_model(database: peewee.Database) -> type[peewee.Model]:
    """The table `profiles` as a model."""

    class Profile(peewee.Model):
        registry_slug = peewee.TextField()
        slug = peewee.TextField()
        version = peewee.IntegerField()
        updated_at_ms = peewee.IntegerField()
        payload_json = peewee.TextField()

        class Meta:
            table_name = "profiles"
            primary_key = peewee.CompositeKey("registry_slug", "slug")

    Profile.bind(database)
    return Profile


def main(kind: str, threads: str, argument: str) -> None:
    app = falcon.App()
    if kind in {"dict", "select"}:
        kept = Dictionary(argument) if kind == "dict" else Select(argument)
        app.add_route("/api/chat/profiles/{slug}", kept)
    else:
        app.add_route("/", Models(argument) if kind == "models" else Static(Path(argument).read_bytes()))
    sockets = bind(Address(host="127.0.0.1", port=0))
    sys.stdout.write(f"http://127.0.0.1:{sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    if kind == "here":
        server = Server(app, sockets, threads=int(threads))
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        server.run()
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        waitress.serve(app, sockets=sockets, threads=int(threads), connection_limit=1000, asyncore_use_poll=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
