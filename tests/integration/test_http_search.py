"""Searching and paging of lists over HTTP."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from pinocchio_core.store.copies.backup import make_backup
from pinocchio_core.store.copies.restore import restore, restore_live
from pinocchio_core.store.sqlite.dsn import dsn_of_path

NOW = datetime(2026, 2, 23, 22, 0, tzinfo=UTC)
PROFILES = "/api/chat/profiles"
LIVE = f"{PROFILES}?label=live"
REGISTRIES = "/api/chat/registries"


def slugs(answer):
    assert answer.status == 200
    return [item["slug"] for item in answer.json]


@pytest.fixture
def filled(app):
    for slug, runtime in (("one", {"middlewares": [{"name": "sqlite"}]}), ("two", {}), ("three", {})):
        assert app.post(PROFILES, {"slug": slug, "runtime": runtime, "metadata": {"tags": ["here"]}}).status == 201
    return app


def test_a_page_says_how_many_there_are_and_its_link_keeps_the_search(filled):
    first = filled.get(f"{PROFILES}?tag=here&changed_since=1&limit=2")
    assert (slugs(first), first.headers["x-total-count"]) == (["one", "three"], "3")
    link = first.headers["link"].partition(">")[0].removeprefix("<")
    second = filled.get(link)
    assert (slugs(second), second.headers["x-total-count"]) == (["two"], "3")
    assert "link" not in second.headers
    assert "x-total-count" not in filled.get(PROFILES).headers


def test_profiles_are_searched_by_middleware(filled):
    assert slugs(filled.get(f"{PROFILES}?middleware=%20sqlite&tag=here")) == ["one"]
    assert slugs(filled.get(f"{PROFILES}?middleware=sql&tag=here")) == []


def test_profiles_are_searched_by_label_and_a_moved_label_is_another_list(filled):
    assert filled.request("PUT", f"{PROFILES}/one/labels/live", {"version": 1}).status == 201
    assert filled.request("PUT", f"{PROFILES}/two/labels/live", {"version": 1}).status == 201
    assert filled.request("PUT", f"{PROFILES}/two/labels/other", {"version": 1}).status == 201
    asked = f"{PROFILES}?label=%20Live&limit=5"
    found = filled.get(asked)
    assert (slugs(found), found.headers["x-total-count"]) == (["one", "two"], "2")
    assert slugs(filled.get(f"{asked}&middleware=sqlite")) == ["one"]
    known = {"if_none_match": found.headers["etag"]}
    assert filled.get(asked, **known).status == 304
    assert filled.delete(f"{PROFILES}/one/labels/live").status == 204
    again = filled.get(asked, **known)
    assert (again.status, slugs(again)) == (200, ["two"])


@pytest.mark.parametrize("form", ["{ms}", "2020-01-01T00:00:00Z", "2020-01-01t00:00:00.25+02:00"])
def test_profiles_are_searched_by_when_they_were_changed(filled, form):
    since = form.format(ms=filled.get(f"{PROFILES}/two").json["metadata"]["updated_at_ms"])
    for sent in (since, quote(since)):
        assert "two" in slugs(filled.get(f"{PROFILES}?changed_since={sent}"))
    assert slugs(filled.get(f"{PROFILES}?changed_since=2999-01-01T00:00:00Z")) == []


@pytest.mark.parametrize(
    "sent",
    ["-1", "1.5", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z", "٣", "9" * 400, "NaN"],
)
def test_a_time_that_is_none_is_refused(app, expect_problem, sent):
    expect_problem(app.get(f"{PROFILES}?changed_since={quote(sent)}"), 400, "validation error", "query.changed_since")


def test_everything_that_is_wrong_with_a_search_is_said_at_once(app, expect_problem):
    answer = app.get(f"{PROFILES}?changed_since=x&limit=0")
    expect_problem(answer, 400, "validation error", "query.limit", "query.changed_since")


def test_registries_come_in_pages(app):
    for slug in ("a", "b"):
        assert app.post(REGISTRIES, {"slug": slug}).status == 201
    first = app.get(f"{REGISTRIES}?limit=2")
    assert (slugs(first), first.headers["x-total-count"]) == (["a", "b"], "3")
    link = first.headers["link"].partition(">")[0].removeprefix("<")
    assert slugs(app.get(link)) == ["default"]
    assert slugs(app.get(REGISTRIES)) == ["a", "b", "default"]


def test_a_page_of_registries_of_no_size_is_refused(app, expect_problem):
    expect_problem(app.get(f"{REGISTRIES}?limit=0"), 400, "validation error", "query.limit")


def test_total_follows_what_another_server_writes(tmp_path, opened):
    def total(app):
        return app.get(f"{PROFILES}?limit=1").headers["x-total-count"]

    path = tmp_path / "profiles.db"
    with opened(path) as ours, opened(path) as theirs:
        assert theirs.post(PROFILES, {"slug": "a"}).status == 201
        assert (total(ours), total(ours)) == ("1", "1")
        assert theirs.post(PROFILES, {"slug": "b"}).status == 201
        assert total(ours) == "2"
        assert theirs.delete(f"{PROFILES}/b").status == 204
        assert total(ours) == "1"


def test_a_page_that_was_asked_for_before_shows_what_another_server_wrote_since(opened, tmp_path):
    path = tmp_path / "profiles.db"
    paths = [f"{PROFILES}?limit=5", f"{PROFILES}?limit=5&q=new", f"{PROFILES}?limit=5&label=live"]
    with opened(path) as one, opened(path) as other:
        shown = {path: [one.get(path).body] for path in paths}
        for method, sent_to, document in (
            ("POST", PROFILES, {"slug": "x", "description": "new"}),
            ("POST", PROFILES, {"slug": "y"}),
            ("PATCH", f"{PROFILES}/x", {"description": "newer"}),
            ("POST", f"{PROFILES}/x/default", {}),
            ("PUT", f"{PROFILES}/y/labels/live", {"version": 1}),
            ("DELETE", f"{PROFILES}/y?force=true", None),
        ):
            assert other.request(method, sent_to, document).status in (200, 201, 204)
            for path, bodies in shown.items():
                first, *_, answer = [one.get(path) for _ in range(4)]  # read, and then cut from the whole list
                assert first.body == answer.body == other.get(path).body
                assert answer.headers["x-total-count"] == str(len(answer.json))
                bodies.append(answer.body)
    assert [len(set(bodies)) for bodies in shown.values()] == [6, 4, 2]


@pytest.fixture
def labelled(opened, tmp_path):
    """An app in which `a` has the label `live`, and the entity tag of that list; its backup has no label."""
    path = tmp_path / "profiles.db"
    with opened(path) as app:
        for slug in ("a", "b"):
            app.post(PROFILES, {"slug": slug})
        make_backup(path, tmp_path / "backup", plugins={}, now=NOW)
        app.request("PUT", f"{PROFILES}/a/labels/live", {"version": 1})
        shown = app.get(LIVE)
        assert slugs(shown) == ["a"]
        yield app, shown.headers["etag"]


def test_a_list_of_a_label_is_another_one_after_a_live_restore(labelled, tmp_path):
    app, etag = labelled
    restore_live(tmp_path / "backup", dsn_of_path(str(tmp_path / "profiles.db")), now=NOW)
    app.request("PUT", f"{PROFILES}/b/labels/live", {"version": 1})

    assert slugs(app.get(LIVE)) == slugs(app.get(LIVE, if_none_match=etag)) == ["b"]


def test_a_list_of_a_label_is_another_one_for_clients_of_before_a_restore(labelled, opened, tmp_path):
    app, etag = labelled
    app.program.close()
    restore(tmp_path / "backup", dsn_of_path(str(tmp_path / "profiles.db")), now=NOW)
    with opened(tmp_path / "profiles.db") as again:
        again.request("PUT", f"{PROFILES}/b/labels/live", {"version": 1})

        assert slugs(again.get(LIVE, if_none_match=etag)) == ["b"]
