"""Whatever was done to profiles, an archive brings all of it back: each row, and each answer of the API."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinocchio_core.bootstrap import assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.copies.archive import TABLES, columns_of, write_archive
from pinocchio_core.store.copies.backup import make_backup
from pinocchio_core.store.copies.restore import restore
from pinocchio_core.store.copies.unarchive import rebuild
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.library import connected
from pinocchio_core.testing import TestApp, make_app

PROFILES = "/api/chat/profiles"
NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)
SLUGS = st.sampled_from(["a", "b", "default"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WRITES = st.one_of(
    st.tuples(st.just("POST"), st.just(PROFILES), st.fixed_dictionaries({"slug": SLUGS, "description": TEXTS})),
    st.tuples(st.just("PATCH"), SLUGS.map(f"{PROFILES}/{{}}".format), st.fixed_dictionaries({"description": TEXTS})),
    st.tuples(
        st.just("PATCH"),
        SLUGS.map(f"{PROFILES}/{{}}".format),
        st.fixed_dictionaries({"extensions": st.fixed_dictionaries({"a.b@v1": st.lists(TEXTS | st.floats(0, 1))})}),
    ),
    st.tuples(st.just("DELETE"), SLUGS.map(f"{PROFILES}/{{}}".format), st.none()),
    st.tuples(st.just("POST"), SLUGS.map(f"{PROFILES}/{{}}/default".format), st.none()),
)


def rows(path):
    """Every row that archives have, by table."""
    with connected(path) as connection:
        return {
            each.name: connection.execute(
                f"SELECT * FROM {each.name} WHERE {each.where} ORDER BY {each.order}"
            ).fetchall()
            for each in TABLES
            if columns_of(connection, each.name)
        }


def answers(app):
    """What the API says of all profiles."""
    listed = app.request("GET", PROFILES)
    each = [app.request("GET", f"{PROFILES}/{item['slug']}") for item in listed.json]
    found = [listed, *each, app.request("GET", "/api/chat/registries"), app.request("GET", "/api/chat/profile")]
    return [(answer.status, answer.body, answer.headers.get("etag")) for answer in found]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(WRITES, max_size=12))
def test_every_row_and_every_answer_comes_back(shipped, writes):
    with make_app(*shipped) as app, TemporaryDirectory() as name:
        folder, path = Path(name), app.program.store.database.dsn.path
        for method, target, body in writes:
            assert app.request(method, target, body).status in {200, 201, 204, 404, 409}
        write_archive(path, folder / "copy.jsonl")
        rebuild(folder / "copy.jsonl", folder / "made.db")
        assert rows(folder / "made.db") == rows(path)
        expected = answers(app)
        program = assemble(
            Host(given_plugins(shipped)), dsn_of_path(str(folder / "made.db")), default_registry="default"
        )
        try:
            assert answers(TestApp(program)) == expected
        finally:
            program.close()


def test_an_app_on_a_restored_archive_goes_on_above_all_versions(shipped, tmp_path):
    with make_app(*shipped) as app:
        for number in range(3):
            changed = app.request("PATCH", f"{PROFILES}/default", {"description": f"{number}"})
        make_backup(app.program.store.database.dsn.path, tmp_path / "copy.jsonl", plugins={}, now=NOW)
    dsn = dsn_of_path(str(tmp_path / "made.db"))
    restore(tmp_path / "copy.jsonl", dsn, now=NOW)
    program = assemble(Host(given_plugins(shipped)), dsn, default_registry="default")
    try:
        before = changed.json["metadata"]["version"]
        stale = {"description": "late", "expected_version": before - 1}
        assert TestApp(program).request("PATCH", f"{PROFILES}/default", stale).status == 409
        later = TestApp(program).request("PATCH", f"{PROFILES}/default", {"description": "on"})
        assert later.json["metadata"]["version"] > before
    finally:
        program.close()
