"""Versions of profiles brought back over HTTP."""

import threading

import msgspec
import pytest

from pinocchio_core.errors import VersionConflict
from pinocchio_core.plugin import Problem, hookimpl
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.tables.rows import Author
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"


class Careful:
    """Has something against prompts that say `bad`, once it is told to; remembers what it is told of."""

    def __init__(self):
        self.careful = False
        self.told = []

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        if self.careful and "bad" in (profile.runtime.system_prompt or ""):
            return [Problem(field="runtime.system_prompt", reason="says bad")]
        return []

    @hookimpl
    def pinocchio_profile_changed(self, change):
        self.told.append((change.op, change.version, change.profile and change.profile.runtime.system_prompt))


@pytest.fixture
def careful():
    return Careful()


@pytest.fixture
def written(careful, shipped):
    """A profile with three versions, the first of which says `bad`."""
    with make_app(careful, *shipped) as app:
        extensions = {"acme.kept@v1": {"b": 1.0, "a": [True, None]}}
        app.post(PROFILES, {"slug": "x", "runtime": {"system_prompt": "bad"}, "extensions": extensions})
        app.patch(X, {"runtime": {"system_prompt": "two"}, "metadata": {"tags": ["t"]}, "extensions": {}})
        app.patch(X, {"runtime": {"system_prompt": "three"}})
        yield app


def restore(app, version, document=None, **headers):
    return app.post(f"{X}/revisions/{version}/restore", document, **headers)


def content(document):
    return {k: v for k, v in document.items() if k not in ("metadata", "is_default")}


def test_a_version_is_brought_back_as_a_new_one(written, careful):
    before = written.get(X).json["metadata"]
    answer = restore(written, 1, {"reason": "three was wrong"})
    first = written.get(f"{X}@1").json

    assert answer.status == 200
    assert answer.json == written.get(X).json
    assert answer.headers["etag"] == written.get(X).headers["etag"]
    assert content(answer.json) == content(first)
    assert "tags" not in answer.json["metadata"]
    assert answer.json["metadata"]["version"] == 4
    assert answer.json["metadata"]["created_at_ms"] == before["created_at_ms"]
    assert (
        written.get(f"{X}/revisions?limit=1").json[0].items()
        >= {
            "version": 4,
            "op": "restore",
            "restored_from": 1,
            "reason": "three was wrong",
        }.items()
    )
    assert careful.told[-1] == ("update", 4, "bad")
    raw = written.get(f"{X}?raw=true").body
    assert b'{"b":1.0,"a":[true,null]}' in raw


def test_going_back_can_be_tried(written, careful, nothing_written):
    told = list(careful.told)
    with nothing_written(written):
        tried = written.post(f"{X}/revisions/1/restore?dry_run=true")
    assert tried.status == 200
    assert tried.json["document"]["runtime"]["system_prompt"] == "bad"
    assert {"op": "replace", "path": "/runtime/system_prompt", "value": "bad"} in tried.json["diff"]
    written.delete(X)
    with nothing_written(written):
        tried = written.post(f"{X}/revisions/1/restore?dry_run=true")
    assert (tried.status, tried.json["diff"][0]["path"]) == (200, "")
    assert careful.told[:-1] == told


def test_a_label_names_the_version_to_bring_back(written):
    written.request("PUT", f"{X}/labels/good", {"version": 2})
    restored = restore(written, "Good").json

    assert (restored["runtime"]["system_prompt"], restored["metadata"]["tags"]) == ("two", ["t"])
    assert written.get(f"{X}/revisions/4").json["restored_from"] == 2


def test_a_deleted_profile_is_brought_back(written, careful, expect_problem):
    first = written.get(f"{X}@1").json["metadata"]
    written.delete(X)
    expect_problem(restore(written, 2, {"expected_version": 3}), 409, "version conflict")
    expect_problem(restore(written, 2, if_match='"3-x"'), 412, "precondition failed")
    answer = restore(written, 2)

    assert answer.status == 201
    assert answer.headers["location"] == X
    assert answer.json["metadata"]["version"] == 5
    assert answer.json["metadata"]["created_at_ms"] == first["created_at_ms"]
    assert answer.json["runtime"]["system_prompt"] == "two"
    assert careful.told[-1] == ("create", 5, "two")
    assert [(each["op"], each.get("restored_from")) for each in written.get(f"{X}/revisions").json[:2]] == [
        ("restore", 2),
        ("delete", None),
    ]
    assert "x" in [each["slug"] for each in written.get(PROFILES).json]


def test_a_deletion_leaves_nothing_to_bring_back(written, expect_problem, nothing_written):
    written.delete(X)
    with nothing_written(written):
        problem = expect_problem(restore(written, 4), 400, "validation error", "path.version")
    assert "version 4 is a deletion, which leaves nothing to restore" in problem["detail"]


def test_what_plugins_refuse_today_is_not_brought_back(written, careful, expect_problem, nothing_written):
    careful.careful = True
    with nothing_written(written):
        problem = expect_problem(restore(written, 1), 400, "validation error", "runtime.system_prompt")
    assert "says bad" in problem["detail"]
    assert restore(written, 2).status == 200


def test_what_schemas_of_today_refuse_is_not_brought_back(written, expect_problem, nothing_written):
    use = {"runtime": {"middlewares": [{"name": "agentmode"}], "tools": ["calculator"]}}
    assert written.patch(X, use).status == 200
    database = written.program.store.database
    with written.program.store.write():
        database.run(
            "UPDATE profile_revisions SET payload_json = replace(replace(payload_json, 'agentmode', 'gone'),"
            " 'calculator', 'lost') WHERE slug = 'x' AND version = 4"
        )
    with nothing_written(written):
        fields = ["runtime.middlewares[0].name", "runtime.tools[0]"]
        expect_problem(restore(written, 4), 400, "validation error", *fields)


def test_a_profile_that_changed_meanwhile_stays_as_it_is(written, expect_problem, nothing_written):
    etag = written.get(X).headers["etag"]
    written.patch(X, {"description": "meanwhile"})
    with nothing_written(written):
        problem = expect_problem(restore(written, 1, {"expected_version": 3}), 409, "version conflict")
        expect_problem(restore(written, 1, if_match=etag), 412, "precondition failed")
        expect_problem(restore(written, 1, if_none_match="*"), 412, "precondition failed")
    assert problem["current"]["version"] == 4
    assert restore(written, 1, {"expected_version": 4}).json["metadata"]["version"] == 5


def test_of_two_who_bring_versions_back_over_one_version_exactly_one_wins(written):
    program = written.program
    service = ProfileWrites(program.store, program.host, program.health, default_registry="default")
    ready, results = threading.Barrier(2), []

    def bring(version):
        ready.wait()
        try:
            body = b'{"expected_version": 3}'
            results.append(service.restore(Target(slug="x"), version, body, author=Author("ann", "test")).row.version)
        except VersionConflict as error:
            results.append(type(error).__name__)

    threads = [threading.Thread(target=bring, args=(version,)) for version in "12"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, results)) == ["4", "VersionConflict"]
    assert written.get(f"{X}/revisions?limit=1").json[0]["version"] == 4


def test_a_read_only_profile_stays_as_it_is(written, expect_problem, nothing_written):
    written.patch(X, {"policy": {"read_only": True}})
    with nothing_written(written):
        expect_problem(restore(written, 1), 403, "policy violation")


def test_a_damaged_version_is_not_brought_back_but_a_sound_one_over_a_damaged_profile_is(written, expect_problem):
    database = written.program.store.database
    with written.program.store.write():
        database.run("UPDATE profile_revisions SET payload_json = '{' WHERE slug = 'x' AND version = 2")
        database.run("UPDATE profiles SET payload_json = '{' WHERE slug = 'x'")
    expect_problem(restore(written, 2), 409, "row unreadable")
    expect_problem(written.get(X), 409, "row unreadable")

    assert restore(written, 3).status == 200
    assert written.get(X).json["runtime"]["system_prompt"] == "three"


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("x/revisions/0/restore", {}, ["path.version"]),
        ("x!/revisions/a.b/restore", {"expected_version": -1}, ["path.slug", "path.version", "expected_version"]),
        ("x/revisions/1/restore", {"resaon": "x"}, ["resaon"]),
        ("x@1/revisions/1/restore", None, ["path.slug"]),
    ],
)
def test_all_that_is_wrong_with_the_request_is_told(written, expect_problem, path, body, fields):
    expect_problem(written.post(f"{PROFILES}/{path}", body), 400, "validation error", *fields)


def test_what_never_was_is_not_found(written, expect_problem):
    expect_problem(restore(written, 9), 404, "revision not found")
    expect_problem(restore(written, "nothing"), 404, "revision not found")
    expect_problem(written.post(f"{PROFILES}/nope/revisions/1/restore"), 404, "profile not found")
    expect_problem(written.post(f"{X}/revisions/1/restore?registry=nope"), 404, "registry not found")


def test_a_registry_that_is_gone_does_not_come_back_with_a_profile(written, expect_problem):
    written.post("/api/chat/registries", {"slug": "team"})
    written.post(PROFILES, {"slug": "y", "registry": "team"})
    written.delete(f"{PROFILES}/y?registry=team")
    written.delete("/api/chat/registries/team")

    assert [each["op"] for each in written.get(f"{PROFILES}/y/revisions?registry=team").json] == ["delete", "create"]
    answer = written.post(f"{PROFILES}/y/revisions/1/restore?registry=team")
    expect_problem(answer, 404, "registry not found")
    assert msgspec.json.decode(answer.body)["detail"] == 'registry not found: "team"'
