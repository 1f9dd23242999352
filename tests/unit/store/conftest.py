"""An open store in a temporary folder, with a clock that tests set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pinocchio_core.domain.profile import OPEN_POLICY, Metadata, Profile, Registry, RegistryMetadata, Runtime
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.profiles import Written
from pinocchio_core.store.tables.rows import Author


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now_ms: int = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profiles.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Store]:
    """A new store with the empty registry `default`."""
    opened = Store(open_database(dsn_of_path(str(path))).database, clock=clock)
    metadata = RegistryMetadata(created_at_ms=clock(), created_by="ann", updated_by="ann", source="test")
    with opened.write():
        opened.registries.insert(Registry(slug="default", metadata=metadata), Author(actor="ann", source="test"))
    yield opened
    opened.close()


@pytest.fixture
def author() -> Author:
    return Author(actor="ann", source="test", reason="because")


@pytest.fixture
def made() -> Callable[..., Callable[[int, int], Profile]]:
    """Gives what makes a profile with these fields from its version and time."""

    def fields(slug: str, registry: str = "default", **changes: Any) -> Callable[[int, int], Profile]:
        def make(version: int, at_ms: int) -> Profile:
            tags = changes.pop("tags", None)
            metadata = Metadata(
                version=version,
                created_at_ms=at_ms,
                updated_at_ms=at_ms,
                created_by="ann",
                updated_by="ann",
                source="test",
                tags=tags,
            )
            given = {"runtime": Runtime(), "policy": OPEN_POLICY} | changes
            return Profile(registry=registry, slug=slug, metadata=metadata, **given)

        return make

    return fields


@pytest.fixture
def add(store: Store, author: Author, made: Callable[..., Any]) -> Callable[..., Written]:
    """Adds a profile with these fields."""

    def create(slug: str, registry: str = "default", **changes: Any) -> Written:
        with store.write():
            return store.profiles.create(registry, slug, made(slug, registry, **changes), author=author)

    return create
