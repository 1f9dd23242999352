"""Clocks that are set back by a day, of two stores on one file: versions and times still go up."""

import collections
import json

import pytest

from pinocchio_core.domain.profile import OPEN_POLICY, Metadata, Profile, Registry, RegistryMetadata, Runtime
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.rows import Author

DAY_MS = 86_400_000
WRITES = 400
SLUGS = [f"p-{number}" for number in range(5)]
AUTHOR = Author(actor="ann", source="test")


class Clock:
    """A clock that is set by the test."""

    def __init__(self):
        self.now_ms = 1_800_000_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clocks():
    return [Clock(), Clock()]


@pytest.fixture
def stores(clocks, tmp_path):
    """Two open stores on one file, each with its own clock."""
    made = [Store(open_database(dsn_of_path(str(tmp_path / "profiles.db"))).database, clock=each) for each in clocks]
    metadata = RegistryMetadata(created_at_ms=0, created_by="ann", updated_by="ann", source="test")
    with made[0].write():
        made[0].registries.insert(Registry(slug="default", metadata=metadata), AUTHOR)
    yield made
    for store in made:
        store.close()


def making(slug):
    def make(version, at_ms):
        metadata = Metadata(
            version=version,
            created_at_ms=at_ms,
            updated_at_ms=at_ms,
            created_by="ann",
            updated_by="ann",
            source="test",
        )
        return Profile(registry="default", slug=slug, runtime=Runtime(), policy=OPEN_POLICY, metadata=metadata)

    return make


def write(store, slug, how):
    """Create what is not there; else change it, put another in its place, or delete it."""
    with store.write():
        row = store.profiles.read("default", slug)
        if row is None:
            store.profiles.create("default", slug, making(slug), author=AUTHOR)
        elif how == "replace":
            assert store.profiles.replace(making(slug), old=row.profile(), author=AUTHOR)
        elif how == "overwrite":
            store.profiles.overwrite(row, making(slug), author=AUTHOR)
        else:
            store.delete_profile(row, author=AUTHOR)


def test_clocks_that_are_set_back_change_no_order(stores, clocks, history, figure, rng, tmp_path):
    registry, back = [], 0
    for _ in range(WRITES):
        which = rng.randrange(2)
        step_ms = rng.choice((0, 1, 1000, -1, -DAY_MS, DAY_MS // 2))
        back += step_ms < 0
        clocks[which].now_ms += step_ms
        write(stores[which], rng.choice(SLUGS), rng.choice(("replace", "replace", "overwrite", "delete")))
        seen = {(head.version, head.updated_at_ms) for head in (store.registries.head("default") for store in stores)}
        assert len(seen) == 1
        registry += seen
    found = history(tmp_path / "profiles.db")
    assert [version for version, _ in registry] == list(range(registry[0][0], registry[0][0] + WRITES))
    assert [at_ms for _, at_ms in registry] == sorted({at_ms for _, at_ms in registry})

    times, rises = {}, 0
    for slug, version, op, payload, at_ms in found.revisions:
        if op == "delete":
            times.pop(slug)
            continue
        metadata = json.loads(payload)["metadata"]
        assert (metadata["version"], metadata["updated_at_ms"]) == (version, at_ms)
        assert at_ms > times.get(slug, 0), f"{slug} {version}: {at_ms} after {times[slug]}"
        rises += slug in times
        times[slug] = at_ms
    operations = collections.Counter(op for _, _, op, _, _ in found.revisions)
    assert operations.keys() == {"create", "update", "replace", "delete"}
    figure(
        f"2 stores on a file, clocks set back {back} times in {WRITES} writes",
        f"versions without a gap; {rises} changes of profiles and {WRITES} of their registry, each later than the last",
    )
