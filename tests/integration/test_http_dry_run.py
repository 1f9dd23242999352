"""`?dry_run=true`: every write is checked and answered as if it were made, and nothing is."""

import pytest

from pinocchio_core.plugin import hookimpl
from pinocchio_core.testing import make_app

BATCH = "/api/chat/batch"
PROFILES = "/api/chat/profiles"
REGISTRIES = "/api/chat/registries"

WRITES = [
    ("POST", PROFILES, {"slug": "new", "description": "d", "set_default": True}),
    ("PATCH", f"{PROFILES}/agent", {"description": "d"}),
    ("PUT", f"{PROFILES}/agent", {"description": "d"}),
    ("DELETE", f"{PROFILES}/agent", None),
    ("POST", f"{PROFILES}/agent/default", None),
    ("POST", REGISTRIES, {"slug": "new"}),
    ("PATCH", f"{REGISTRIES}/default", {"description": "d"}),
    ("DELETE", f"{REGISTRIES}/empty", None),
    ("POST", BATCH, {"writes": [{"op": "delete", "slug": "agent"}, {"op": "create", "slug": "new"}]}),
]


class Listening:
    def __init__(self):
        self.changes = []

    @hookimpl
    def pinocchio_profile_changed(self, change):
        self.changes.append(change)


@pytest.fixture
def dump():
    """Every table of an app's database, row by row."""

    def read(app):
        database = app.program.store.database
        tables = [row[0] for row in database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        return {table: sorted(database.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}

    return read


@pytest.mark.parametrize(("method", "path", "document"), WRITES)
def test_trial_of_every_write_leaves_every_table_as_it_is(app, dump, method, path, document):
    app.post(REGISTRIES, {"slug": "empty"})
    before = dump(app)
    answer = app.request(method, f"{path}?dry_run=true", document)

    assert answer.status == 200, answer.body
    assert answer.json["dry_run"] is True
    assert answer.headers["cache-control"] == "no-store"
    assert not {"etag", "location"} & answer.headers.keys()
    assert dump(app) == before
    assert app.request(method, f"{path}?dry_run=false", document).status < 300
    assert dump(app) != before


@pytest.mark.parametrize(("method", "path", "document"), WRITES)
@pytest.mark.parametrize(
    "sent", ["?dry_run=1", "?dry_run=TRUE", "?dry_run=", "?dry_run", "?dry_run=true&dry_run=false"]
)
def test_any_other_value_is_refused(app, expect_problem, nothing_written, method, path, document, sent):
    app.post(REGISTRIES, {"slug": "empty"})
    with nothing_written(app):
        expect_problem(app.request(method, f"{path}{sent}", document), 400, "validation error", "query.dry_run")


@pytest.mark.parametrize(("method", "path", "document"), WRITES[:5])
def test_no_plugin_hears_of_a_trial(method, path, document):
    listening = Listening()
    with make_app(listening) as app:
        app.post(PROFILES, {"slug": "agent"})
        app.post(PROFILES, {"slug": "other", "set_default": True})
        del listening.changes[:]

        assert app.request(method, f"{path}?dry_run=true", document).status == 200
        assert listening.changes == []


def test_trial_shows_the_document_that_would_result_and_the_difference(app):
    tried = app.patch(f"{PROFILES}/agent?dry_run=true", {"description": "d", "runtime": {}}).json
    stored = app.get(f"{PROFILES}/agent").json
    assert stored["metadata"]["version"] == 1
    made = app.patch(f"{PROFILES}/agent", {"description": "d", "runtime": {}}).json

    for document in (tried["document"], made):
        assert document["metadata"].pop("updated_at_ms") >= stored["metadata"]["updated_at_ms"]
    assert tried["document"] == made
    assert {"op": "add", "path": "/description", "value": "d"} in tried["diff"]
    assert {"op": "replace", "path": "/metadata/version", "value": 2} in tried["diff"]


def test_trial_of_what_is_not_there_before_or_after(app):
    created = app.post(f"{PROFILES}?dry_run=true", {"slug": "new"}).json
    deleted = app.delete(f"{PROFILES}/agent?dry_run=true").json

    assert created["diff"] == [{"op": "add", "path": "", "value": created["document"]}]
    assert deleted == {"dry_run": True, "diff": [{"op": "remove", "path": ""}]}


def test_trial_of_a_default_shows_just_that(app):
    tried = app.post(f"{PROFILES}/agent/default?dry_run=true").json

    assert tried["diff"] == [{"op": "replace", "path": "/is_default", "value": True}]
    assert app.post(f"{PROFILES}/default/default?dry_run=true").json["diff"] == []


def test_trial_of_no_change_has_no_difference(app):
    document = app.get(f"{PROFILES}/agent").json
    tried = app.patch(f"{PROFILES}/agent?dry_run=true", document).json

    assert tried == {"dry_run": True, "document": document, "diff": []}


def test_trial_of_a_registry(app):
    before = app.get(f"{REGISTRIES}/default").json
    tried = app.patch(f"{REGISTRIES}/default?dry_run=true", {"description": "d"}).json

    assert tried["document"]["metadata"]["version"] == before["metadata"]["version"] + 1
    assert {"op": "add", "path": "/description", "value": "d"} in tried["diff"]


def test_trial_of_a_batch_shows_each_difference(app):
    writes = [
        {"op": "create", "slug": "new"},
        {"op": "patch", "slug": "agent", "document": {"description": "d"}},
        {"op": "delete", "slug": "default"},
    ]
    answer = app.post(
        f"{BATCH}?dry_run=true", {"writes": [writes[0] | {"document": {"set_default": True}}, *writes[1:]]}
    )
    new, patched, deleted = answer.json["results"]

    assert new["diff"] == [{"op": "add", "path": "", "value": new["document"]}]
    assert new["document"]["is_default"]
    assert {"op": "add", "path": "/description", "value": "d"} in patched["diff"]
    assert deleted["diff"] == [{"op": "remove", "path": ""}]
    assert [each["slug"] for each in app.get(PROFILES).json] == ["agent", "default"]


@pytest.mark.parametrize(
    ("method", "path", "document", "headers", "status", "title"),
    [
        ("POST", PROFILES, {"slug": "agent"}, {}, 409, "already exists"),
        ("POST", PROFILES, {"slug": "-"}, {}, 400, "validation error"),
        ("PATCH", f"{PROFILES}/nobody", {}, {}, 404, "profile not found"),
        ("PATCH", f"{PROFILES}/agent", {"expected_version": 9}, {}, 409, "version conflict"),
        ("PUT", f"{PROFILES}/locked", {}, {}, 403, "policy violation"),
        ("PUT", f"{PROFILES}/agent", {}, {"if_match": '"old"'}, 412, "precondition failed"),
        ("DELETE", f"{PROFILES}/default", None, {}, 409, "in use"),
        ("POST", f"{PROFILES}/agent/default", {"expected_version": 99}, {}, 409, "version conflict"),
        ("POST", REGISTRIES, {"slug": "default"}, {}, 409, "already exists"),
        ("DELETE", f"{REGISTRIES}/default", None, {}, 409, "in use"),
    ],
)
def test_trial_is_refused_as_the_write_is(app, expect_problem, method, path, document, headers, status, title):
    app.post(PROFILES, {"slug": "locked", "policy": {"read_only": True}})
    anonymous = {"request_id": ""}
    tried = expect_problem(app.request(method, f"{path}?dry_run=true", document, **headers), status, title)
    refused = expect_problem(app.request(method, path, document, **headers), status, title)

    assert tried | anonymous == refused | anonymous


def test_trials_use_up_no_version(app, revisions):
    for _ in range(3):
        app.post(f"{PROFILES}?dry_run=true", {"slug": "new"})
        app.patch(f"{PROFILES}/agent?dry_run=true", {"description": "d"})

    assert app.post(PROFILES, {"slug": "new"}).json["metadata"]["version"] == 1
    assert app.patch(f"{PROFILES}/agent", {"description": "d"}).json["metadata"]["version"] == 2
    assert revisions(app, "agent") == [(1, "create"), (2, "update")]


def test_trials_are_not_counted_as_writes(app):
    app.post(f"{PROFILES}?dry_run=true", {"slug": "new"})
    app.patch(f"{REGISTRIES}/default?dry_run=true", {"description": "d"})

    assert 'pinocchio_writes_total{op="' not in app.get("/metrics").body.decode()
