"""Databases of the original program: what opening one makes of its rows."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinocchio_core.store.layouts.opening import Opened, open_database
from pinocchio_core.store.layouts.original import LAYOUT, joined
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.store.store import Store

AT_MS = 1_700_000_000_000
ANALYST: dict[str, Any] = {
    "slug": "analyst",
    "display_name": "Analyst",
    "description": "d",
    "runtime": {
        "system_prompt": "You are an analyst.",
        "middlewares": [{"name": "agentmode", "id": "default", "enabled": True}, {"name": "sqlite"}],
        "tools": ["calculator"],
        "step_settings_patch": {"ai-chat": {"ai-engine": "some-model"}},
    },
    "policy": {"allow_overrides": True, "denied_override_keys": ["tools"], "read_only": False},
    "metadata": {
        "source": "http-api",
        "version": 2,
        "created_at_ms": AT_MS - 9,
        "updated_at_ms": AT_MS - 5,
        "created_by": "web-chat",
        "updated_by": "someone",
        "tags": ["finance"],
    },
    "extensions": {
        "acme.unknown@v3": {"x": [1, 1.0, {"y": None}]},
        "middleware.agentmode_config@v1": {"instances": {"id:default": {"default_mode": "f"}}},
        "middleware.sqlite_config@v1": {"instances": {"index:1": {"max_rows": 50}}},
    },
}
PLAIN = {"slug": "default", "runtime": {"system_prompt": "You are an assistant"}, "policy": {}, "metadata": {}}


def registry(*profiles: dict[str, Any], default: str = "default", **more: Any) -> dict[str, Any]:
    return {
        "slug": "default",
        "default_profile_slug": default,
        "profiles": {profile["slug"]: profile for profile in profiles},
        "metadata": {"version": 3, "created_at_ms": AT_MS - 20, "updated_at_ms": AT_MS, "source": "http-api"},
        **more,
    }


def profile(slug: str, middlewares: list[Any], extensions: dict[str, Any] | None = None) -> dict[str, Any]:
    return {**PLAIN, "slug": slug, "runtime": {"middlewares": middlewares}, "extensions": extensions or {}}


def write_original(path: Path, rows: list[tuple[Any, Any, Any]]) -> None:
    with connected(path, mode="rwc") as connection:
        connection.execute(LAYOUT)
        connection.executemany("INSERT INTO profile_registries VALUES (?, ?, ?)", rows)


@pytest.fixture
def reopen(path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a database with these rows (slug, payload, updated_at_ms)."""
    opened: list[Opened] = []

    def open_rows(*rows: tuple[Any, Any, Any]) -> Opened:
        target = path.with_name(f"{len(opened)}.db")
        write_original(
            target,
            [(slug, json.dumps(payload) if isinstance(payload, dict) else payload, at) for slug, payload, at in rows],
        )
        opened.append(open_database(dsn_of_path(str(target))))
        return opened[-1]

    yield open_rows
    for each in opened:
        each.database.close()


def documents(opened: Opened, name: str = "default") -> dict[str, Any]:
    """Every profile of a registry as it is served."""
    store = Store(opened.database)
    slugs = [slug for (slug,) in opened.database.rows("SELECT slug FROM profiles WHERE registry_slug = ?", (name,))]
    rows = [store.profiles.read(name, slug) for slug in slugs]
    return {row.slug: json.loads(row.document) for row in rows if row}


def test_profiles_keep_their_content_versions_and_times(reopen: Callable[..., Opened]) -> None:
    opened = reopen(("default", registry(ANALYST, PLAIN), AT_MS))
    assert not opened.created
    assert opened.notices == ()
    expected = {**ANALYST, "registry": "default", "is_default": False}
    expected["extensions"] = ANALYST["extensions"] | {
        "middleware.sqlite_config@v1": {"instances": {"default": {"max_rows": 50}}}
    }
    found = documents(opened)
    assert found["analyst"] == expected
    assert list(found) == ["analyst", "default"]
    assert found["default"]["is_default"] is True
    assert opened.database.rows(
        "SELECT slug, version, updated_at_ms, default_profile_slug FROM profile_registries"
    ) == [("default", 3, AT_MS, "default")]


def test_what_never_had_a_version_or_a_time_gets_the_first_version_and_the_time_of_its_row(
    reopen: Callable[..., Opened],
) -> None:
    metadata = documents(reopen(("default", registry(PLAIN), AT_MS)))["default"]["metadata"]
    assert (metadata["version"], metadata["created_at_ms"], metadata["updated_at_ms"]) == (1, AT_MS, AT_MS)
    assert metadata["source"] == "legacy-import"


def test_inline_configs_move_to_their_extension_and_win(reopen: Callable[..., Opened]) -> None:
    uses = [{"name": "m", "id": "a", "config": {"x": 1}}, {"name": "m", "config": {"x": 2}}]
    extensions = {"middleware.m_config@v1": {"instances": {"id:a": {"x": "old"}, "id:b": {"x": 3}}}}
    found = documents(reopen(("default", registry(profile("default", uses, extensions)), AT_MS)))["default"]
    assert found["runtime"]["middlewares"] == [{"name": "m", "id": "a"}, {"name": "m"}]
    assert found["extensions"] == {
        "middleware.m_config@v1": {"instances": {"id:a": {"x": 1}, "id:b": {"x": 3}, "default": {"x": 2}}}
    }


def test_slots_by_position_go_to_the_use_that_stood_there(reopen: Callable[..., Opened]) -> None:
    uses = [{"name": "m"}, {"name": "n"}, {"name": "m"}, {"name": "m", "id": "own"}]
    extensions = {
        "middleware.m_config@v1": {"instances": {"index:0": {"x": 0}, "index:2": {"x": 2}, "id:own": {"x": 3}}},
        "middleware.n_config@v1": {"instances": {"index:1": {"x": 1}}},
    }
    opened = reopen(("default", registry(profile("default", uses, extensions)), AT_MS))
    found = documents(opened)["default"]
    assert found["runtime"]["middlewares"] == [
        {"name": "m"},
        {"name": "n"},
        {"name": "m", "id": "index-2"},
        {"name": "m", "id": "own"},
    ]
    assert found["extensions"] == {
        "middleware.m_config@v1": {"instances": {"default": {"x": 0}, "id:index-2": {"x": 2}, "id:own": {"x": 3}}},
        "middleware.n_config@v1": {"instances": {"default": {"x": 1}}},
    }
    assert opened.notices == ('profile "default" of registry "default": repeated middlewares now have ids',)


def test_an_id_made_for_a_repeated_use_is_not_one_that_is_there_already(reopen: Callable[..., Opened]) -> None:
    uses = [{"name": "m", "id": "index-2"}, {"name": "m"}, {"name": "m"}]
    found = documents(reopen(("default", registry(profile("default", uses)), AT_MS)))["default"]
    ids = [use.get("id") for use in found["runtime"]["middlewares"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("slugs", "repaired"), [(["default", "a"], "default"), (["b", "a"], "a")])
def test_a_missing_default_is_repaired_and_said(reopen: Callable[..., Opened], slugs: list[str], repaired: str) -> None:
    opened = reopen(("default", registry(*[{**PLAIN, "slug": slug} for slug in slugs], default="gone"), AT_MS))
    assert [slug for slug, each in documents(opened).items() if each["is_default"]] == [repaired]
    assert opened.notices == (f'registry "default" had the default "gone", which is missing; it is now "{repaired}"',)


def test_a_registry_without_profiles_has_no_default(reopen: Callable[..., Opened]) -> None:
    opened = reopen(("default", registry(default="gone"), AT_MS))
    assert opened.database.rows("SELECT default_profile_slug FROM profile_registries") == [(None,)]


DEEP = json.dumps(registry(PLAIN)).replace(
    '"metadata": {}', '"metadata": {}, "extensions": {"a.b@v1": ' + "[" * 5_000 + "]" * 5_000 + "}"
)


@pytest.mark.parametrize(
    ("slug", "payload"),
    [
        ("broken", "{"),
        ("broken", ""),
        ("broken", "[]"),
        ("broken", "null"),
        ("broken", b'{"profiles": {"a": {"slug": "\xff"}}}'),
        ("broken", '{"profiles": []}'),
        ("broken", '{"metadata": {"version": "x"}}'),
        ("no slug", json.dumps(registry(PLAIN))),
        ("DEFAULT", json.dumps(registry(PLAIN))),
        (None, json.dumps(registry(PLAIN))),
        ("deep", DEEP),
        ("long", json.dumps(registry(PLAIN, metadata={"version": 2**63}))),
    ],
    ids=[
        "truncated",
        "empty",
        "list",
        "null",
        "bytes",
        "profiles",
        "types",
        "slug",
        "same slug",
        "no slug",
        "deep",
        "64 bits",
    ],
)
def test_a_broken_registry_stays_behind_and_the_others_are_taken_over(
    reopen: Callable[..., Opened], slug: Any, payload: Any
) -> None:
    opened = reopen((slug, payload, AT_MS), ("default", registry(PLAIN), AT_MS), ("zz", registry(PLAIN), AT_MS))
    assert {"default", "zz"} <= {each.slug for each in Store(opened.database).registries.all()}
    assert list(documents(opened)) == ["default"]
    assert any("legacy_profile_registries" in notice for notice in opened.notices)
    assert opened.database.rows("SELECT count(*) FROM legacy_profile_registries") == [(3,)]


@pytest.mark.parametrize(
    "broken",
    [
        {"slug": "bad slug"},
        {"slug": "bad", "runtime": {"middlewares": 5}},
        {
            "slug": "bad",
            "runtime": {"middlewares": [{"name": "no such name!"}], "tools": []},
            "extensions": {"no key": 1},
        },
        {"slug": "bad", "metadata": {"version": "two"}},
        {"slug": "bad", "metadata": {"version": 2**63}},
        {"slug": "DEFAULT"},
    ],
    ids=["slug", "uses", "key", "types", "64 bits", "same slug"],
)
def test_a_broken_profile_stays_behind_and_the_others_are_taken_over(
    reopen: Callable[..., Opened], broken: dict[str, Any]
) -> None:
    opened = reopen(("default", registry(PLAIN, broken, ANALYST), AT_MS))
    assert set(documents(opened)) == {"default", "analyst"}
    (notice,) = opened.notices
    assert broken["slug"].lower() in notice.lower()
    assert "was not taken over" in notice


def test_extensions_whose_keys_become_one_are_not_lost_without_a_word(reopen: Callable[..., Opened]) -> None:
    opened = reopen(("default", registry(profile("default", [], {"Acme.X@v1": 1, "acme.x@v1": 2})), AT_MS))
    assert documents(opened)["default"]["extensions"]["acme.x@v1"] == 2
    assert any("Acme.X@v1" in notice for notice in opened.notices)


def test_the_original_rows_are_kept_byte_for_byte(reopen: Callable[..., Opened]) -> None:
    payload = "  " + json.dumps(registry(ANALYST, PLAIN), indent=3) + "\n"
    opened = reopen(("default", payload, AT_MS), ("broken", "{", 0))
    kept = opened.database.rows("SELECT slug, payload_json, updated_at_ms FROM legacy_profile_registries ORDER BY slug")
    assert kept == [("broken", "{", 0), ("default", payload, AT_MS)]


def test_extensions_that_nobody_knows_are_kept_byte_for_byte(reopen: Callable[..., Opened]) -> None:
    payload = json.dumps(registry(PLAIN)).replace(
        '"metadata": {}}', '"metadata": {}, "extensions": {"a.b@v1": { "n" : 1.50 }}}'
    )
    row = Store(reopen(("default", payload, AT_MS)).database).profiles.read("default", "default")
    assert row is not None
    assert b'{ "n" : 1.50 }' in row.document


def test_the_history_begins_with_what_was_taken_over(reopen: Callable[..., Opened]) -> None:
    opened = reopen(("default", registry(ANALYST), AT_MS))
    sql = "SELECT slug, version, op, actor, at_ms FROM profile_revisions ORDER BY slug"
    assert opened.database.rows(sql) == [
        ("", 3, "import", "pinocchio", AT_MS),
        ("analyst", 2, "import", "pinocchio", AT_MS),
    ]


def test_what_is_written_in_the_original_layout_reads_back_as_the_same_documents(reopen: Callable[..., Opened]) -> None:
    first = reopen(("default", registry(ANALYST, PLAIN, default="analyst", display_name="Team"), AT_MS))
    store = Store(first.database)
    row = store.registries.read("default")
    rows = [store.profiles.read("default", slug) for slug in ("analyst", "default")]
    profiles = (each.profile() for each in rows if each)
    payload = joined(row.registry(), version=row.version, updated_at_ms=row.updated_at_ms, profiles=profiles)
    slots = json.loads(payload)["profiles"]["analyst"]["extensions"]["middleware.sqlite_config@v1"]["instances"]
    assert slots == {"index:1": {"max_rows": 50}}
    second = reopen(("default", payload.decode(), row.updated_at_ms))
    assert second.notices == ()
    assert documents(second) == documents(first)
    again = Store(second.database).registries.read("default")
    assert (json.loads(again.payload), again.version, again.updated_at_ms) == (json.loads(row.payload), 3, AT_MS)
