"""Trying a restore: a backup is put in a temporary folder, served from there, and asked what the original would be.

The checks are those of step 6 of docs/operate.md.
"""

import http.client
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pinocchio_core.cli.serving import served
from pinocchio_core.errors import PinocchioError
from pinocchio_core.host.host import Host
from pinocchio_core.service.chats.engines import DEFAULT_ENGINE
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.store.copies.backup import read_manifest
from pinocchio_core.store.copies.checks import Inspection, Progress, inspect_database
from pinocchio_core.store.copies.restore import restore
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected

PROFILES = "/api/chat/profiles"
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Step:
    """How one check went."""

    name: str
    passed: bool
    detail: str


def drilled(backup: Path, host: Host, *, registry: str, progress: Progress = lambda _, __: None) -> Iterator[Step]:
    """Restore to a temporary folder and try what is there, one check after another; the folder is removed at the end.

    Ends at the first check without which the next ones cannot be made. `registry` is the default one.
    """
    with tempfile.TemporaryDirectory(prefix="pinocchio-drill-") as folder:
        dsn = dsn_of_path(str(Path(folder) / "profiles.db"))
        try:
            done = restore(backup, dsn, now=datetime.now().astimezone(), progress=progress)
            yield _passed("restore", f"{done.found.profiles} profiles in {done.found.registries} registries")
            yield _manifest(backup, done.found)
            yield _plugins(Path(folder) / "profiles.db", host)
            counts = _counts(Path(folder) / "profiles.db")
            with served(host, dsn, registry) as url:
                yield from _Client(url).steps(counts, registry)
        except PinocchioError as error:
            yield _failed("restore", str(error))


def _passed(name: str, detail: str) -> Step:
    return Step(name, passed=True, detail=detail)


def _failed(name: str, detail: str) -> Step:
    return Step(name, passed=False, detail=detail)


def _manifest(backup: Path, found: Inspection) -> Step:
    manifest = read_manifest(backup)
    if manifest is None:
        return _passed("manifest", "the copy has none, so there is nothing to compare with")
    if manifest.layout != found.layout:  # the content was compared before its layout became another one
        return _passed("manifest", f"of {manifest.created_at}: it has layout {manifest.layout}, now {found.layout}")
    counted = (manifest.profiles, manifest.registries) == (found.profiles, found.registries)
    same = counted and manifest.content_sha256 == found.content_sha256
    return Step("manifest", same, f"of {manifest.created_at}: {'the same' if same else 'another'} content")


def _plugins(path: Path, host: Host) -> Step:
    refused = inspect_database(path, judge=Validation(host).stored_problems).refused
    if refused:
        return _failed("plugins", f"the installed plugins would refuse {len(refused)}, first: {refused[0]}")
    return _passed("plugins", "the installed plugins accept every profile")


def _counts(path: Path) -> dict[str, int]:
    """How many profiles each registry has."""
    sql = "SELECT slug, (SELECT count(*) FROM profiles WHERE registry_slug = r.slug) FROM profile_registries r"
    with connected(path) as connection:
        return dict(connection.execute(sql).fetchall())


class _Client:
    """Asks the server."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")

    def steps(self, counts: dict[str, int], registry: str) -> Iterator[Step]:
        """Every check over HTTP."""
        yield self._lists(counts)
        status, chosen = self._ask("GET", f"/api/chat/profile?registry={quote(registry)}")
        slug = chosen.get("slug")
        yield Step("default", status == 200 and bool(slug), f'profile "{slug}" in registry "{registry}"')
        yield self._schemas()
        if counts.get(registry):
            yield self._stale(registry)
            yield self._chat(registry, slug, {"profile": slug, "registry": registry})
            yield self._chat(registry, slug, {"registry": registry})
        status, ready = self._ask("GET", "/readyz")
        detail = "; ".join(ready.get("reasons", [])) or "nothing is wrong"
        yield Step("readiness", status == 200, detail)

    def _lists(self, counts: dict[str, int]) -> Step:
        found = {}
        for registry in counts:
            status, profiles = self._ask("GET", f"{PROFILES}?registry={quote(registry)}")
            found[registry] = len(profiles) if status == 200 else -1
        wrong = [
            f'"{registry}" lists {number}, not {counts[registry]}'
            for registry, number in found.items()
            if number != counts[registry]
        ]
        return Step("lists", not wrong, "; ".join(wrong) or f"all of {sum(found.values())} profiles are listed")

    def _schemas(self) -> Step:
        middlewares = self._ask("GET", "/api/chat/schemas/middlewares")
        extensions = self._ask("GET", "/api/chat/schemas/extensions")
        detail = f"{len(middlewares[1])} middlewares, {len(extensions[1])} extensions"
        return Step("schemas", middlewares[0] == extensions[0] == 200, detail)

    def _stale(self, registry: str) -> Step:
        """A change with a version that is not the stored one must be refused."""
        _, profiles = self._ask("GET", f"{PROFILES}?registry={quote(registry)}")
        one = profiles[0]
        stale = {"description": "drill", "expected_version": one["version"] + 1}
        status, _ = self._ask("PATCH", f"{PROFILES}/{quote(one['slug'])}?registry={quote(registry)}", stale)
        return Step("conflict", status == 409, f'a stale change of "{one["slug"]}" is answered with {status}')

    def _chat(self, registry: str, slug: Any, named: dict[str, Any]) -> Step:
        """One turn with the default profile, unless that wants an engine which may ask somebody far away."""
        status, resolved = self._ask("POST", f"{PROFILES}/{quote(str(slug))}/resolve?registry={quote(registry)}")
        name = f"chat by {next(iter(named))}"
        if status != HTTPStatus.OK:
            return _failed(name, f'profile "{slug}" cannot be resolved: {resolved.get("detail")}')
        engine = resolved["runtime"]["step_settings_patch"].get("ai-chat", {}).get("ai-api-type", DEFAULT_ENGINE)
        if engine != DEFAULT_ENGINE:
            return _passed(name, f'profile "{slug}" resolves; not tried, because it wants the engine "{engine}"')
        status, answer = self._ask("POST", "/chat", {"prompt": "drill"} | named)
        passed = status == HTTPStatus.OK and answer.get("profile") == slug
        return Step(name, passed=passed, detail=f'status {status}, answered by profile "{answer.get("profile")}"')

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the decoded body of an answer."""
        with closing(http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)) as connection:
            sent = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            answer = connection.getresponse()
            return answer.status, msgspec.json.decode(answer.read())
