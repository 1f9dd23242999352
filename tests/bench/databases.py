"""Databases of N profiles of about 2 KB each, written through the store in one transaction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from pinocchio_core.bootstrap import assemble
from pinocchio_core.domain.profile import Profile
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.requests import CreateProfile
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.writing.drafts import drafted, stamped
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.tables.rows import Author, StoredProfile

REGISTRY = "default"
AUTHOR = Author(actor="bench", source="bench")

RUNTIME: dict[str, Any] = {
    "system_prompt": "Answer from the tables you can query, name the query you ran, and say so when you do not know. "
    * 8,
    "middlewares": [{"name": "sqlite", "id": "main", "enabled": True}],
    "tools": ["calculator"],
    "step_settings_patch": {
        "ai-chat": {"ai-engine": "large", "ai-temperature": 0.2, "ai-max-response-tokens": 4096},
        "ai-inference": {"inference-reasoning-effort": "medium", "inference-stop": ["END"]},
    },
}
DOCUMENT: dict[str, Any] = {
    "slug": "x",
    "display_name": "A profile of an ordinary size",
    "description": "Reads the tables of one department and explains what it found, in the words of its readers.",
    "runtime": RUNTIME,
    "policy": {"allow_overrides": True, "read_only": False, "denied_override_keys": ["ai-engine"]},
    "metadata": {"tags": ["bench", "tables", "reports"]},
    "extensions": {
        "middleware.sqlite_config@v1": {"instances": {"id:main": {"max_rows": 50, "execution_timeout_ms": 2000}}},
        "webchat.starter_suggestions@v1": {"items": [f"What changed in week {week}, and why?" for week in range(6)]},
        "bench.notes@v1": {"owner": "reports", "reviewed": [2024, 2025], "text": "Kept byte for byte. " * 5},
    },
}


@dataclass(frozen=True)
class Filled:
    """A database, and its profiles in order."""

    path: Path
    slugs: list[str]
    first: StoredProfile
    etags: list[str]
    """Of the first thousand."""


def fill(path: Path, count: int) -> Filled:
    """A new database at `path` with `count` profiles besides those that plugins bring."""
    host = Host()
    program = assemble(host, dsn_of_path(str(path)), default_registry=REGISTRY)
    try:
        draft = _draft(host)
        slugs = [f"p{number:06d}" for number in range(count)]
        with program.store.write():
            for slug in slugs:
                made = structs.replace(draft, slug=slug, display_name=f"Profile {slug}")
                program.store.profiles.create(REGISTRY, slug, _stamping(made), author=AUTHOR)
        rows = [program.store.profiles.read(REGISTRY, slug) for slug in slugs[:1000]]
        return Filled(path, slugs, rows[0], [row.etag for row in rows])
    finally:
        program.close()


def _draft(host: Host) -> Profile:
    validation = Validation(host)
    request = validation.request(msgspec.json.encode(DOCUMENT), CreateProfile, target=Target())
    draft = drafted(request, registry=REGISTRY, slug="x", catalog=validation.catalog)
    validation.new(draft)
    return draft


def _stamping(draft: Profile) -> Any:
    return lambda version, at_ms: stamped(draft, version=version, at_ms=at_ms, actor="bench", source="bench")
