"""Labels over HTTP: where they point and pointed, who moves them, and what depends on them."""

import threading

import pytest
from msgspec import structs

from pinocchio_core.domain import limits
from pinocchio_core.errors import Forbidden, VersionConflict
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.labels import LabelService
from pinocchio_core.service.stack_checks import StackChecks
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.tables.rows import Author

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"
PRODUCTION = f"{X}/labels/production"


@pytest.fixture
def written(app):
    """A profile with three versions."""
    app.post(PROFILES, {"slug": "x", "runtime": {"system_prompt": "one"}})
    app.patch(X, {"runtime": {"system_prompt": "two"}})
    app.patch(X, {"runtime": {"system_prompt": "three"}})
    return app


@pytest.fixture
def labels(written):
    store = written.program.store
    stacks = StackChecks(store, Validation(written.program.host))
    return LabelService(store, stacks, default_registry="default")


@pytest.fixture
def editor():
    return Author(actor="ed", source="test", admin=False)


def put(app, document, label="production", **headers):
    return app.request("PUT", f"{X}/labels/{label}", document, **headers)


def moves(app):
    return app.program.store.database.rows(
        "SELECT label, version, protected, reason FROM profile_label_moves ORDER BY seq"
    )


def test_a_label_points_to_a_version_and_is_moved(written):
    made, moved = put(written, {"version": 1, "reason": "first"}), put(written, {"version": 2}, label=" Production ")

    assert (made.status, moved.status) == (201, 200)
    assert made.json | {"updated_at_ms": 0} == {
        "registry": "default",
        "slug": "x",
        "label": "production",
        "version": 1,
        "protected": False,
        "updated_at_ms": 0,
        "updated_by": "anonymous@127.0.0.1",
    }
    assert made.headers["etag"] != moved.headers["etag"]
    assert written.get(f"{X}@production").json["runtime"]["system_prompt"] == "two"
    assert written.post("/chat/x@production", {"prompt": "hello"}).json["profile_version"] == 2
    assert written.get(f"{X}/labels").json == [moved.json]


def test_a_label_tells_where_it_pointed_newest_first(written):
    put(written, {"version": 1, "reason": "first"})
    put(written, {"version": 2, "protected": True})
    written.delete(f"{PRODUCTION}?reason=broken")
    put(written, {"version": 3})
    answer = written.get(PRODUCTION)

    assert [(each.get("version"), each["protected"], each.get("reason")) for each in answer.json["moves"]] == [
        (3, False, None),
        (None, True, "broken"),
        (2, True, None),
        (1, False, "first"),
    ]
    assert {each["actor"] for each in answer.json["moves"]} == {"anonymous@127.0.0.1"}
    assert written.get(PRODUCTION, if_none_match=answer.headers["etag"]).status == 304


def test_revisions_name_the_labels_that_point_to_them(written):
    before = written.get(f"{X}/revisions/1").headers["etag"]
    put(written, {"version": 1})
    put(written, {"version": 1}, label="beta")

    assert [each.get("labels") for each in written.get(f"{X}/revisions").json] == [None, None, ["beta", "production"]]
    assert written.get(f"{X}/revisions/production").json["labels"] == ["beta", "production"]
    assert written.get(f"{X}/revisions/1").headers["etag"] != before
    assert written.get(f"{X}/diff?from=production&to=3").json["from"] == 1


def test_what_is_so_already_is_not_written_again(written):
    first = put(written, {"version": 1, "protected": True})
    again = put(written, {"version": 1})

    assert (again.status, again.json, again.headers["etag"]) == (200, first.json, first.headers["etag"])
    assert len(moves(written)) == 1
    assert put(written, {"version": 2}).json["protected"] is True


def test_a_label_that_has_moved_on_is_not_moved_by_who_did_not_see_it(written, expect_problem):
    etag = put(written, {"version": 1}).headers["etag"]
    put(written, {"version": 2})

    problem = expect_problem(put(written, {"version": 3, "expected_version": 1}), 409, "version conflict")
    assert problem["current"]["version"] == 2
    expect_problem(put(written, {"version": 3}, if_match=etag), 412, "precondition failed")
    expect_problem(put(written, {"version": 3}, if_none_match="*"), 412, "precondition failed")
    expect_problem(put(written, {"version": 3, "expected_version": 1}, label="new"), 409, "version conflict")
    expect_problem(written.delete(f"{PRODUCTION}?expected_version=1"), 409, "version conflict")
    expect_problem(written.delete(PRODUCTION, if_match=etag), 412, "precondition failed")
    assert written.get(PRODUCTION).json["version"] == 2
    assert written.delete(f"{PRODUCTION}?expected_version=2").status == 204


def test_a_move_can_be_tried(written, nothing_written):
    put(written, {"version": 1})
    with nothing_written(written):
        moved = written.request("PUT", f"{PRODUCTION}?dry_run=true", {"version": 2}).json
        removed = written.delete(f"{PRODUCTION}?dry_run=true").json
        made = written.request("PUT", f"{X}/labels/new?dry_run=true", {"version": 2})
        forced = written.delete(f"{X}?dry_run=true&force=true").json

    assert {"op": "replace", "path": "/version", "value": 2} in moved["diff"]
    assert moved["document"]["version"] == 2
    assert removed == {"dry_run": True, "diff": [{"op": "remove", "path": ""}]}
    assert (made.status, made.json["document"]["label"]) == (200, "new")
    assert forced["dry_run"] is True
    assert written.get(PRODUCTION).json["version"] == 1
    assert len(moves(written)) == 1


def test_of_two_who_move_a_label_at_once_exactly_one_wins(labels, written):
    put(written, {"version": 1})
    ready, results = threading.Barrier(2), {}

    def move(version):
        ready.wait()
        body = b'{"version": %d, "expected_version": 1}' % version
        try:
            results[version] = labels.put(Target(slug="x"), "production", body, author=Author("ann", "test")).written
        except VersionConflict as error:
            results[version] = type(error).__name__

    threads = [threading.Thread(target=move, args=(version,)) for version in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [version for version, result in results.items() if result is True]

    assert sorted(map(str, results.values())) == ["True", "VersionConflict"]
    assert written.get(PRODUCTION).json["version"] == won
    assert [move[1] for move in moves(written)] == [1, won]


def test_two_who_make_different_labels_at_once_both_have_them(labels, written):
    ready = threading.Barrier(2)

    def make(label):
        ready.wait()
        for version in (1, 2, 3) * 5:
            labels.put(Target(slug="x"), label, b'{"version": %d}' % version, author=Author("ann", "test"))

    threads = [threading.Thread(target=make, args=(label,)) for label in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(each["label"], each["version"]) for each in written.get(f"{X}/labels").json] == [("one", 3), ("two", 3)]
    assert len(moves(written)) == 30


@pytest.mark.parametrize("body", [b'{"version": 2}', b'{"version": 1, "protected": false}'])
def test_a_protected_label_is_an_admins(labels, written, editor, body):
    put(written, {"version": 1, "protected": True})
    with pytest.raises(Forbidden, match='label "production" of profile "x" is protected'):
        labels.put(Target(slug="x"), "production", body, author=editor)
    with pytest.raises(Forbidden):
        labels.delete(Target(slug="x"), "production", author=editor)

    assert len(moves(written)) == 1
    assert labels.put(Target(slug="x"), "production", body, author=structs.replace(editor, admin=True)).written


def test_a_profile_with_labels_is_deleted_by_force_only(written, expect_problem, nothing_written):
    put(written, {"version": 2})
    put(written, {"version": 1, "protected": True}, label="beta")
    with nothing_written(written):
        problem = expect_problem(written.delete(X), 409, "in use")

    assert problem["dependents"] == [
        {"kind": "label", "name": "beta", "version": 1, "protected": True},
        {"kind": "label", "name": "production", "version": 2, "protected": False},
    ]
    assert written.delete(f"{X}?force=true&reason=gone").status == 204
    assert moves(written)[2:] == [("beta", None, 1, "gone"), ("production", None, 0, "gone")]
    expect_problem(written.get(f"{X}@production"), 404, "revision not found")
    expect_problem(written.get(PRODUCTION), 404, "profile not found")
    written.post(PROFILES, {"slug": "x"})
    assert written.get(f"{X}/labels").json == []


def test_only_an_admin_forces_a_deletion(written, editor):
    program = written.program
    service = ProfileWrites(program.store, program.host, program.health, default_registry="default")
    put(written, {"version": 2})
    with pytest.raises(Forbidden, match="so only an admin deletes it"):
        service.write("delete", Target(slug="x", force=True), author=editor)
    assert written.get(X).status == 200
    written.delete(PRODUCTION)
    service.write("delete", Target(slug="x", force=True), author=editor)
    assert written.get(X).status == 404


@pytest.mark.parametrize("version", [4, 9])
def test_a_label_points_to_what_can_be_used(written, expect_problem, version):
    written.delete(X)
    expect_problem(put(written, {"version": 1}), 404, "profile not found")
    written.post(PROFILES, {"slug": "x"})
    problem = expect_problem(put(written, {"version": version}), 404, "revision not found")

    assert f'"x@{version}"' in problem["detail"]
    assert moves(written) == []


def test_a_label_does_not_point_to_what_is_damaged(written, expect_problem):
    with written.program.store.write():
        written.program.store.database.run("UPDATE profile_revisions SET payload_json = '{' WHERE version = 2")
    expect_problem(put(written, {"version": 2}), 409, "row unreadable")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("x/labels/7", {"version": 1}, ["path.label"]),
        ("x/labels/a.b", {}, ["path.label", "version"]),
        ("x/labels/beta", {"version": 0}, ["version"]),
        ("x/labels/beta", {"version": 2**63}, ["version"]),
        ("x/labels/beta", {"version": "1", "protected": 1}, ["version", "protected"]),
        ("x!/labels/beta", {"version": None, "registry": "!"}, ["path.slug", "registry", "version"]),
        ("x@1/labels/beta", {"version": 1}, ["path.slug"]),
        ("x/labels/beta", {"version": 1, "reason": "x" * 501}, ["reason"]),
    ],
)
def test_all_that_is_wrong_with_a_label_is_told(written, expect_problem, path, body, fields):
    expect_problem(written.request("PUT", f"{PROFILES}/{path}", body), 400, "validation error", *fields)
    assert moves(written) == []


def test_what_is_not_there_is_not_found(written, expect_problem):
    expect_problem(written.get(PRODUCTION), 404, "revision not found")
    expect_problem(written.delete(PRODUCTION), 404, "revision not found")
    expect_problem(written.get(f"{PROFILES}/nope/labels"), 404, "profile not found")
    expect_problem(written.get(f"{X}/labels?registry=nope"), 404, "registry not found")
    expect_problem(written.delete(f"{X}?force=1"), 400, "validation error", "query.force")


def test_a_profile_has_a_bounded_number_of_labels(written, expect_problem):
    for number in range(limits.MAX_LABELS):
        assert put(written, {"version": 1}, label=f"l{number}").status == 201
    expect_problem(put(written, {"version": 1}, label="one-more"), 400, "validation error", "path.label")
    assert put(written, {"version": 2}, label="l0").status == 200
