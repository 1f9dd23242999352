"""The thread that looks for rows that are not well, over a real database."""

import time
from contextlib import closing

import pytest

from pinocchio_core.domain.profile import OPEN_POLICY, Metadata, Profile, Registry, RegistryMetadata, Runtime
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.upkeep import health as module
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.facts import VERSION_FLOOR, Facts
from pinocchio_core.store.tables.rows import Author

DEADLINE_S = 30
ANN = Author(actor="ann", source="test")


@pytest.fixture
def path(tmp_path):
    """A database with the registry `team` and the profile `p000`."""
    path = tmp_path / "profiles.db"
    with closing(open_store(path)) as store:
        metadata = RegistryMetadata(created_at_ms=1, created_by="ann", updated_by="ann", source="test")
        with store.write():
            store.registries.insert(Registry(slug="team", metadata=metadata), ANN)
        add(store, 1)
    return path


@pytest.fixture
def store(path):
    with closing(open_store(path)) as store:
        yield store


@pytest.fixture
def started():
    """Starts to look after a store, soon and often, and stops at the end."""
    running = []

    def start(store):
        health = health_of(store)
        running.append(health)
        health.start()
        return health

    yield start
    for health in running:
        health.stop()


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)


def open_store(path, parameters=""):
    return Store(open_database(parse_dsn(f"file:{path}{parameters}")).database)


def health_of(store):
    return RowHealth(store, Validation(Host(given_plugins([]))))


def add(store, count, first=0):
    def make(version, at_ms):
        metadata = Metadata(
            version=version, created_at_ms=at_ms, updated_at_ms=at_ms, created_by="a", updated_by="a", source="t"
        )
        return Profile(registry="team", slug=slug, runtime=Runtime(), policy=OPEN_POLICY, metadata=metadata)

    for number in range(first, first + count):
        slug = f"p{number:03}"
        with store.write():
            store.profiles.create("team", slug, make, author=ANN)


def damage(store, where="1"):
    with store.write():
        store.database.run(f"UPDATE profiles SET payload_json = '{{' || payload_json WHERE {where}")


def repair(store):
    with store.write():
        store.database.run("UPDATE profiles SET payload_json = substr(payload_json, 2) WHERE payload_json LIKE '{{%'")


def until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_all_pages_are_looked_at_in_the_background_also_of_a_read_only_store(store, path, started):
    add(store, 120, first=1)
    damage(store, "slug IN ('p000', 'p060', 'p120')")
    with closing(open_store(path, "?mode=ro")) as reader:
        health = started(reader)
        until(lambda: health.findings.counts() == {"quarantined": 3, "invalid": 0})
        assert [line.split('"')[1] for line in health.findings.reasons()] == ["p000", "p060", "p120"]
        health.stop()


def test_what_another_program_changes_is_found_by_its_revision(store, path, started, often):
    health = started(store)
    with closing(open_store(path)) as other:
        add(other, 60, first=1)
        until(lambda: health._seen.seq >= 60)
        other.database.run("BEGIN IMMEDIATE")
        other.database.run("UPDATE profiles SET payload_json = '' WHERE slug = 'p007'")
        other.database.run(
            "INSERT INTO profile_revisions (registry_slug, slug, version, op, actor, source, at_ms)"
            " VALUES ('team', 'p007', 2, 'update', 'x', 'x', 1)"
        )
        other.database.run("COMMIT")
        until(lambda: health.findings.reasons() == ['profile "p007" in registry "team" is quarantined'])


def test_repair_from_outside_is_noticed_without_any_request(store, started, often):
    damage(store)
    health = started(store)
    until(health.findings.reasons)
    repair(store)
    until(lambda: not health.findings.by_registry)


def test_a_row_that_is_gone_is_forgotten(store, started, often):
    damage(store)
    health = started(store)
    until(health.findings.reasons)
    with store.write():
        store.database.run("DELETE FROM profiles")
    until(lambda: not health.findings.by_registry)


def test_a_restore_makes_everything_be_looked_at_again(store, started, often):
    health = started(store)
    until(lambda: health._scanned_at is not None)
    damage(store)
    with store.write():
        Facts(store.database).write(VERSION_FLOOR, 100, 1)
    until(health.findings.reasons)


def test_the_periodic_scan_finds_damage_that_left_no_trace(store, started, often, monkeypatch):
    monkeypatch.setattr(module, "RESCAN_S", 0.01)
    health = started(store)
    until(lambda: health._scanned_at is not None)
    damage(store)
    until(health.findings.reasons)


def test_what_is_known_holds_for_its_version_alone(store):
    health = health_of(store)
    damage(store)
    row = store.profiles.read("team", "p000")
    health.scan()

    assert health.findings.known(row)
    with store.write():
        store.database.run("UPDATE profiles SET version = 2")
    assert health.findings.known(store.profiles.read("team", "p000")) is None


def test_a_look_that_fails_is_logged_and_not_the_last(store, started, often, monkeypatch, caplog):
    monkeypatch.setattr(module, "RESCAN_S", 0.01)
    damage(store)
    with store.write():
        store.database.run("ALTER TABLE profile_revisions RENAME TO elsewhere")
    health = started(store)
    until(lambda: "looking at the stored rows failed" in caplog.text)
    with store.write():
        store.database.run("ALTER TABLE elsewhere RENAME TO profile_revisions")
    until(health.findings.reasons)


def test_a_scan_of_many_rows_ends_when_it_is_told_to(store):
    add(store, 60, first=1)
    health = health_of(store)
    health.stop()
    damage(store)
    health.scan()
    assert sum(health.findings.counts().values()) <= 1


def test_document_that_disagrees_with_its_row_is_invalid(store):
    with store.write():
        store.database.run("UPDATE profiles SET version = 7, slug = 'moved'")
    health = health_of(store)
    health.scan()

    (state,) = health.findings.of("team").states.values()
    assert state.kind == "invalid"
    assert {problem.field for problem in state.problems} == {"slug", "metadata.version"}
