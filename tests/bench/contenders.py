"""Who is measured beside whom: how each is started on a database, and what is asked of it in its own words."""

import json
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databases import DOCUMENT, Filled
from processes import Lab, Running

GET, NOT_MODIFIED, PAGE, LIST, SCHEMAS = "GET one", "304", "page of 100", "full list", "schemas"
AGAIN = "the same page again"
"""A page that ours has kept; `PAGE` asks ours for another one each time, which is made."""
CREATE, PATCH, RESOLVE, EXPLAIN, CHAT = "create", "PATCH", "resolve", "resolve, explained", "chat"
OPERATIONS = (GET, NOT_MODIFIED, PAGE, AGAIN, LIST, SCHEMAS, CREATE, PATCH, RESOLVE, EXPLAIN, CHAT)
OURS, GRANIAN, FASTAPI, FLASK, DATASETTE = "pinocchio", "pinocchio, granian", "FastAPI", "Flask", "Datasette"
PEERS = (FASTAPI, FLASK, DATASETTE)
PROFILES = "/api/chat/profiles"
SCHEMA_PATH = "/api/chat/schemas/middlewares"
DESCRIPTION = json.dumps({"description": DOCUMENT["description"] + " %016d"})
FLASK_THREADS = 4
PAGE_SIZE = 100
ITEM = ("slug", "version", "display_name", "description", "runtime", "extensions")
"""What Datasette shows of a profile in a list."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What an operation is for one of them; the members are those of `load.Job`."""

    targets: Sequence[tuple[str, str]]
    job: Mapping[str, Any] = field(default_factory=dict)


Requests = dict[str, Request]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One that is measured."""

    name: str
    start: Callable[[Lab, Path, int, str | None], Running]
    """On a database, with so many server processes; the last is the path of a first request."""
    requests: Callable[[Filled, Path], Requests]
    """By operation, for the profiles and the file that is served."""
    ours: bool = False
    """Whether it has a database of ours; else it has one of `peer_rows.py`."""

    def first(self, filled: Filled, path: Path) -> str:
        """The path of the request that ends a start."""
        return self.requests(filled, path)[GET].targets[0][0]


def _shuffled(filled: Filled, template: str, headers: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """A target for each of up to 20,000 profiles; `headers` are lines by slug."""
    slugs = random.Random(1).sample(filled.slugs, min(20_000, len(filled.slugs)))  # noqa: S311  no secret
    return [(template % slug, (headers or {}).get(slug, "")) for slug in slugs]


def pages(filled: Filled) -> list[tuple[str, str]]:
    """A target for every page of 100, wherever it begins; for the first one where there are fewer profiles."""
    begins = filled.slugs[: -PAGE_SIZE - 1] or [""]
    random.Random(1).shuffle(begins)  # noqa: S311  no secret
    return [(f"{PROFILES}?limit={PAGE_SIZE}&after={slug}", "") for slug in begins]


def _posted(body: str, status: int = 200) -> dict[str, Any]:
    return {"method": "POST", "body": body, "status": status}


def _requests_of_ours(filled: Filled, _: Path) -> Requests:
    one = f"{PROFILES}/%s"
    known = {slug: f"If-None-Match: {etag}\r\n" for slug, etag in zip(filled.slugs, filled.etags, strict=False)}
    conditional = [each for each in _shuffled(filled, one, known) if each[1]]
    resolved, explained = ({"overrides": {"system_prompt": "%016d"}, "explain": value} for value in (False, True))
    resolve = [(f"{PROFILES}/agent/resolve", "")]
    return {
        GET: Request(targets=_shuffled(filled, one)),
        NOT_MODIFIED: Request(targets=conditional, job={"status": 304}),
        PAGE: Request(targets=pages(filled)),
        AGAIN: Request(targets=[(f"{PROFILES}?limit=100", "")]),
        LIST: Request(targets=[(PROFILES, "")]),
        SCHEMAS: Request(targets=[(SCHEMA_PATH, "")]),
        CREATE: Request(targets=[(PROFILES, "")], job=_posted(json.dumps(DOCUMENT | {"slug": "c%016d"}), 201)),
        PATCH: Request(targets=_shuffled(filled, one), job={"method": "PATCH", "body": DESCRIPTION}),
        RESOLVE: Request(targets=resolve, job=_posted(json.dumps(resolved))),
        EXPLAIN: Request(targets=resolve, job=_posted(json.dumps(explained))),
        CHAT: Request(targets=[("/chat/agent", "")], job=_posted(json.dumps({"prompt": "hello %016d"}))),
    }


def _requests_of_peers(filled: Filled, _: Path) -> Requests:
    one = "/profiles/%s"
    document = {name: DOCUMENT[name] for name in ("display_name", "description", "runtime", "policy", "extensions")}
    created = json.dumps(document | {"slug": "c%016d", "tags": DOCUMENT["metadata"]["tags"]})
    return {
        GET: Request(targets=_shuffled(filled, one)),
        PAGE: Request(targets=[("/profiles?limit=100", "")]),
        LIST: Request(targets=[("/profiles", "")]),
        CREATE: Request(targets=[("/profiles", "")], job=_posted(created, 201)),
        PATCH: Request(targets=_shuffled(filled, one), job={"method": "PATCH", "body": DESCRIPTION}),
    }


def _requests_of_flask(filled: Filled, path: Path) -> Requests:
    known = dict.fromkeys(filled.slugs, 'If-None-Match: "1"\r\n')
    conditional = Request(targets=_shuffled(filled, "/profiles/%s", known), job={"status": 304})
    return _requests_of_peers(filled, path) | {NOT_MODIFIED: conditional}


def _requests_of_datasette(filled: Filled, path: Path) -> Requests:
    columns = "&".join(f"_col={name}" for name in ITEM)
    page = f"/{path.stem}/profile.json?_shape=array&_size=100&_nocount=1&_nofacet=1&_nosuggest=1&{columns}"
    return {
        GET: Request(targets=_shuffled(filled, f"/{path.stem}/profile/%s.json?_shape=object")),
        PAGE: Request(targets=[(page, "")]),
    }


def _ours(lab: Lab, path: Path, processes: int, first: str | None) -> Running:
    more = ("--workers", processes, "--pin") if processes > 1 else ()
    return lab.pinocchio(path, *more, first=first)


def _granian(lab: Lab, path: Path, processes: int, first: str | None) -> Running:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # it does not say which it got
    options = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", port, "--workers", processes, "--no-ws")
    ready = f"Started worker-{processes}".encode()
    return lab.module("granian", *options, "peer_granian:app", database=path, first=first, ready=ready)


def _fastapi(lab: Lab, path: Path, processes: int, first: str | None) -> Running:
    options = ("--host", "127.0.0.1", "--port", 0, "--workers", processes, "--no-access-log")
    return lab.module("uvicorn", "peer_fastapi:app", *options, database=path, first=first)


def _flask(lab: Lab, path: Path, processes: int, first: str | None) -> Running:
    threads = ("--worker-class", "gthread", "--threads", FLASK_THREADS)
    options = ("--bind", "127.0.0.1:0", "--workers", processes, *threads, "--no-control-socket")
    return lab.module("gunicorn", "peer_flask:app", *options, database=path, first=first)


def _datasette(lab: Lab, path: Path, _: int, first: str | None) -> Running:
    options = ("serve", path, "--host", "127.0.0.1", "--port", 0)
    return lab.module("datasette", *options, database=path, first=first)


CONTENDERS = (
    Contender(name=OURS, start=_ours, requests=_requests_of_ours, ours=True),
    Contender(name=GRANIAN, start=_granian, requests=_requests_of_ours, ours=True),
    Contender(name=FASTAPI, start=_fastapi, requests=_requests_of_peers),
    Contender(name=FLASK, start=_flask, requests=_requests_of_flask),
    Contender(name=DATASETTE, start=_datasette, requests=_requests_of_datasette),
)
