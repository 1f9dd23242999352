"""The history of profiles over HTTP: pages, single versions, differences."""

import re

import msgspec
import pytest

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"


@pytest.fixture
def written(app):
    """A profile with three versions, deleted and made again with two more."""
    app.post(PROFILES, {"slug": "x", "runtime": {"system_prompt": "one\nline"}})
    app.patch(X, {"runtime": {"system_prompt": "two\nline"}})
    app.patch(X, {"metadata": {"tags": ["t"]}})
    app.delete(X)
    app.post(PROFILES, {"slug": "x", "display_name": "Again"})
    return app


def test_revisions_are_listed_newest_first_also_of_a_deleted_profile(written):
    written.delete(X)
    listed = written.get(f"{X}/revisions").json

    assert [(each["version"], each["op"]) for each in listed] == [
        (6, "delete"),
        (5, "create"),
        (4, "delete"),
        (3, "update"),
        (2, "update"),
        (1, "create"),
    ]
    assert {each["actor"] for each in listed} == {"anonymous@127.0.0.1"}
    assert all(each.keys() == {"version", "op", "actor", "source", "at_ms"} for each in listed)


def test_pages_of_revisions_are_complete_and_in_order(written):
    found, link = [], f"{X}/revisions?limit=2"
    while link:
        answer = written.get(link)
        found += [each["version"] for each in answer.json]
        link = re.sub(r'<(.*)>; rel="next"', r"\1", answer.headers.get("link", ""))

    assert found == [5, 4, 3, 2, 1]
    assert "link" not in written.get(f"{X}/revisions?limit=5").headers


def test_a_revision_has_the_document_byte_for_byte(written):
    stored = written.program.store.database.rows(
        "SELECT payload_json FROM profile_revisions WHERE slug = 'x' AND version = 2"
    )[0][0]
    answer = written.get(f"{X}/revisions/2")

    assert stored.encode() in answer.body
    assert answer.json["document"]["runtime"]["system_prompt"] == "two\nline"
    assert (answer.json["registry"], answer.json["slug"], answer.json["op"]) == ("default", "x", "update")
    assert "document" not in written.get(f"{X}/revisions/4").json
    assert written.get(f"{X}/revisions/2", if_none_match=answer.headers["etag"]).status == 304


def test_a_difference_is_told_as_a_patch_and_as_lines(written):
    found = written.get(f"{X}/diff?from=1&to=3").json

    assert (found["from"], found["to"]) == (1, 3)
    assert found["patch"] == [
        {"op": "replace", "path": "/runtime/system_prompt", "value": "two\nline"},
        {"op": "add", "path": "/metadata", "value": {"tags": ["t"]}},
    ]
    assert [line for line in found["text"].splitlines() if line[0] in "+-"] == [
        "--- x@1",
        "+++ x@3",
        "-      one",
        "+      two",
        '+  "metadata": {',
        '+    "tags": [',
        '+      "t"',
        "+    ]",
        "+  }",
    ]


def test_a_difference_is_by_default_that_of_the_newest_version(written):
    newest, second, first = (written.get(f"{X}/diff{query}").json for query in ("", "?to=2", "?to=1"))

    assert (newest["from"], newest["to"]) == (4, 5)
    assert newest["patch"][0]["op"] == "add"
    assert (second["from"], second["to"]) == (1, 2)
    assert (first["from"], first["to"]) == (0, 1)
    assert written.get(f"{X}/diff?from=2&to=2").json == {"from": 2, "to": 2, "patch": [], "text": ""}


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("nope/revisions", "profile not found"),
        ("nope/revisions/1", "profile not found"),
        ("nope/diff", "profile not found"),
        ("x/revisions?registry=nope", "registry not found"),
        ("x/revisions/99", "revision not found"),
        ("x/revisions/production", "revision not found"),
        ("x/diff?from=99", "revision not found"),
        ("x/diff?to=production", "revision not found"),
    ],
)
def test_what_never_was_is_not_found(written, expect_problem, path, title):
    expect_problem(written.get(f"{PROFILES}/{path}"), 404, title)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("x/revisions?limit=0&before=x", ["query.limit", "query.before"]),
        ("x!/revisions?registry=!", ["path.slug", "query.registry"]),
        ("x/revisions/0", ["path.version"]),
        ("x!/revisions/7.5", ["path.slug", "path.version"]),
        ("x/diff?from=!&to=-1", ["query.from", "query.to"]),
    ],
)
def test_all_that_is_wrong_with_a_request_is_told(written, expect_problem, path, fields):
    expect_problem(written.get(f"{PROFILES}/{path}"), 400, "validation error", *fields)


@pytest.mark.parametrize("damage", ["CAST(x'ff' AS TEXT)", "'{'", "x'00ff'"])
def test_a_damaged_revision_is_a_conflict_and_the_others_are_there(written, expect_problem, damage):
    with written.program.store.write():
        written.program.store.database.run(
            f"UPDATE profile_revisions SET payload_json = {damage}, actor = {damage}, reason = x'ff'"
            " WHERE slug = 'x' AND version = 2"
        )
    for path in ("revisions/2", "diff?from=2&to=3", "diff?from=1&to=2"):
        expect_problem(written.get(f"{X}/{path}"), 409, "row unreadable")

    assert [each["version"] for each in written.get(f"{X}/revisions").json] == [5, 4, 3, 2, 1]
    assert written.get(f"{X}/revisions/3").status == 200


def test_revisions_of_profiles_that_plugins_brought_are_there(app):
    document = app.get(f"{PROFILES}/agent/revisions/1").json["document"]

    assert document == {k: v for k, v in app.get(f"{PROFILES}/agent").json.items() if k != "is_default"}
    assert msgspec.json.encode(app.get(f"{PROFILES}/agent/diff").json["patch"])
