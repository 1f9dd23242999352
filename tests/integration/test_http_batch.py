"""Several writes in one transaction: all of them or none, and everything that is wrong with any of them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pinocchio_core.plugin import hookimpl
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.writing.batch import BatchService, Write
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.tables.rows import Author
from pinocchio_core.testing import make_app

BATCH = "/api/chat/batch"
PROFILES = "/api/chat/profiles"
REGISTRIES = "/api/chat/registries"


class Listening:
    def __init__(self):
        self.changes = []

    @hookimpl
    def pinocchio_profile_changed(self, change):
        self.changes.append((change.op, change.slug, change.version, change.profile is not None))


class Waiting:
    """A plugin that lets a test do something while it checks a profile."""

    def __init__(self):
        self.meanwhile = None

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return ()


@pytest.fixture
def filled(app):
    """An app with profiles `a`, `b` and `c` besides those of plugins."""
    for slug in "abc":
        assert app.post(PROFILES, {"slug": slug}).status == 201
    return app


def batch(app, *writes, query="", **others):
    return app.post(f"{BATCH}{query}", {"writes": writes, **others})


def test_batch_does_everything_in_order(filled):
    app = filled
    answer = batch(
        app,
        {"op": "create", "slug": "New", "document": {"description": "new"}},
        {"op": "patch", "slug": "a", "expected_version": 1, "document": {"description": "patched"}},
        {"op": "replace", "slug": "b", "document": {"display_name": "B"}},
        {"op": "delete", "slug": "c"},
        {"op": "set_default", "slug": "agent"},
    )

    assert answer.status == 200, answer.body
    results = answer.json["results"]
    assert [(each["op"], each["registry"], each["slug"], each["version"]) for each in results] == [
        ("create", "default", "new", 1),
        ("patch", "default", "a", 2),
        ("replace", "default", "b", 2),
        ("delete", "default", "c", 2),
        ("set_default", "default", "agent", 1),
    ]
    assert "document" not in results[3]
    for each in (*results[:3], results[4]):
        assert app.get(f"{PROFILES}/{each['slug']}").json == each["document"]
    assert app.get(f"{PROFILES}/c").status == 404


def test_batch_says_of_each_profile_what_it_is_in_the_end(app):
    answer = batch(
        app,
        {"op": "create", "slug": "first", "document": {"set_default": True}},
        {"op": "create", "slug": "second", "document": {"set_default": True}},
        {"op": "delete", "slug": "default"},
    )

    assert [each.get("document", {}).get("is_default") for each in answer.json["results"]] == [False, True, None]
    assert app.get(f"{PROFILES}/first").json == answer.json["results"][0]["document"]


def test_batch_in_other_registries(app):
    app.post(REGISTRIES, {"slug": "team"})
    app.post(REGISTRIES, {"slug": "other"})
    answer = batch(
        app,
        {"op": "create", "slug": "x"},
        {"op": "create", "slug": "x", "registry": "other"},
        {"op": "create", "slug": "x", "document": {"registry": "default"}},
        registry="team",
        reason="all of them",
    )

    assert [each["registry"] for each in answer.json["results"]] == ["team", "other", "default"]
    reasons = app.program.store.database.rows("SELECT reason FROM profile_revisions WHERE slug = 'x'")
    assert reasons == [("all of them",)] * 3


@pytest.mark.parametrize("blank", ["", " ", "\t", None])
def test_blank_registry_of_a_batch_counts_as_absent(app, blank):
    app.post(REGISTRIES, {"slug": "team"})
    write = {"op": "create", "slug": "x"}

    assert batch(app, write, query="?registry=team", registry=blank).json["results"][0]["registry"] == "team"
    assert batch(app, write, registry=blank).json["results"][0]["registry"] == "default"
    own = write | {"slug": "y", "registry": blank}
    assert batch(app, own, registry="team").json["results"][0]["registry"] == "team"


def test_batch_answers_every_problem_of_every_write(filled, expect_problem, nothing_written):
    with nothing_written(filled):
        answer = batch(
            filled,
            {"op": "patch", "slug": "a", "document": {"runtime": {"middlewares": [{"name": "nobody"}]}}},
            {"op": "fly", "slug": "b"},
            {"op": "create", "slug": "-bad-", "document": {"slgu": 1, "display_name": 5}},
            {"op": "delete", "slug": "c", "document": {}, "x": 1},
            {"op": "patch", "slug": 5, "expected_version": -1, "document": {"policy": 1}},
            {"op": "set_default", "slug": "b", "registry": "no good", "document": {"expected_version": "x"}},
            5,
            {"slug": "b"},
            {"op": "replace", "slug": "a", "document": [1]},
            reason="x" * 501,
        )
        problem = expect_problem(
            answer,
            400,
            "validation error",
            "reason",
            "writes[0].document.runtime.middlewares[0].name",
            "writes[1].op",
            "writes[2].slug",
            "writes[2].document.slgu",
            "writes[2].document.display_name",
            "writes[3].document",
            "writes[3].x",
            "writes[4].slug",
            "writes[4].expected_version",
            "writes[4].document.policy",
            "writes[5].registry",
            "writes[5].document.expected_version",
            "writes[6]",
            "writes[7].op",
            "writes[8].document",
        )
    told = {error["field"]: error["reason"] for error in problem["errors"]}
    assert told["writes[1].op"] == 'unknown op "fly"; known: create, patch, replace, delete, set_default'
    assert told["writes[2].document.slgu"] == 'unknown field; did you mean "slug"?'


@pytest.mark.parametrize("sent", [{}, {"document": None}])
def test_replacement_without_a_document_is_refused(filled, expect_problem, nothing_written, sent):
    with nothing_written(filled):
        answer = batch(filled, {"op": "replace", "slug": "a", **sent}, {"op": "replace", "slug": "b", "x": 1, **sent})
        expect_problem(answer, 400, "validation error", "writes[0].document", "writes[1].document", "writes[1].x")


def test_replacement_by_an_empty_document_empties_a_profile(filled):
    filled.patch(f"{PROFILES}/a", {"description": "d"})
    assert batch(filled, {"op": "replace", "slug": "a", "document": {}}).status == 200
    assert "description" not in filled.get(f"{PROFILES}/a").json


@pytest.mark.parametrize("writes", [None, [], 5, {}, "x"])
def test_batch_without_writes_is_refused(app, expect_problem, writes):
    expect_problem(app.post(BATCH, {"writes": writes}), 400, "validation error", "writes")


def test_batch_of_more_than_a_hundred_is_refused(app, expect_problem, nothing_written):
    writes = [{"op": "create", "slug": f"p{number}"} for number in range(101)]
    with nothing_written(app):
        expect_problem(batch(app, *writes), 400, "validation error", "writes")
    assert len(batch(app, *writes[:100]).json["results"]) == 100


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_conditions_of_one_profile_are_refused(filled, expect_problem, nothing_written, query):
    body = {"writes": [{"op": "patch", "slug": "a", "document": {"description": "d"}}]}
    etag = filled.get(f"{PROFILES}/a").headers["etag"]
    with nothing_written(filled):
        for sent in ('"1-stale"', etag, "*", "malformed", ""):
            for header, name in (("If-Match", "if_match"), ("If-None-Match", "if_none_match")):
                answer = filled.request("POST", f"{BATCH}{query}", body, **{name: sent})
                problem = expect_problem(answer, 400, "validation error", f"header.{header}")
                assert "expected_version" in problem["errors"][0]["reason"]

        body = {"writes": [{"op": "fly", "slug": "a"}]}
        answer = filled.request("POST", f"{BATCH}{query}", body, if_match=etag, if_none_match="*")
        fields = ("header.If-Match", "header.If-None-Match", "writes[0].op")
        expect_problem(answer, 400, "validation error", *fields)


def test_profile_named_twice_is_refused_with_both_places(filled, expect_problem, nothing_written):
    with nothing_written(filled):
        answer = batch(
            filled,
            {"op": "patch", "slug": "a", "document": {"description": "d"}},
            {"op": "delete", "slug": "b"},
            {"op": "delete", "slug": " A ", "registry": "default"},
        )
        problem = expect_problem(answer, 400, "validation error", "writes[2].slug")
    assert problem["errors"][0]["reason"].startswith('writes[0] is about profile "a" in registry "default" too')


def test_clash_in_the_middle_leaves_nothing(filled, expect_problem, nothing_written):
    with nothing_written(filled):
        answer = batch(
            filled,
            {"op": "create", "slug": "new"},
            {"op": "patch", "slug": "a", "expected_version": 7, "document": {"description": "d"}},
            {"op": "create", "slug": "b"},
            {"op": "patch", "slug": "c", "document": {"description": "d"}},
        )
        problem = expect_problem(answer, 409, "version conflict", "writes[1]", "writes[2]")
    assert problem["errors"] == [
        {
            "field": "writes[1]",
            "reason": 'profile "a" version conflict: expected=7 actual=1',
            "expected": "7",
            "actual": "1",
        },
        {"field": "writes[2]", "reason": 'profile "b" in registry "default" already exists'},
    ]
    assert problem["current"]["version"] == 1


def test_refused_writes_are_answered_in_the_order_of_kinds(filled, expect_problem, nothing_written):
    app = filled
    app.post(PROFILES, {"slug": "locked", "policy": {"read_only": True}})
    stale = {"op": "delete", "slug": "a", "expected_version": 7}
    locked = {"op": "delete", "slug": "locked"}
    missing = {"op": "delete", "slug": "nobody"}
    elsewhere = {"op": "create", "slug": "x", "registry": "nowhere"}
    with nothing_written(app):
        expect_problem(batch(app, stale, locked), 403, "policy violation", "writes[1]", "writes[0]")
        answer = batch(app, stale, locked, missing, elsewhere)
        problem = expect_problem(answer, 404, "profile not found", *(f"writes[{n}]" for n in range(4)))
        assert [each["field"] for each in problem["errors"]] == ["writes[2]", "writes[3]", "writes[1]", "writes[0]"]


def test_default_of_others_is_not_deleted_by_a_batch(filled, expect_problem, nothing_written):
    with nothing_written(filled):
        answer = batch(filled, {"op": "delete", "slug": "a"}, {"op": "delete", "slug": "default"})
        expect_problem(answer, 409, "in use", "writes[1]")


def test_all_that_is_in_use_is_named(filled, expect_problem, nothing_written):
    for slug in "bc":
        assert filled.request("PUT", f"{PROFILES}/{slug}/labels/prod", {"version": 1}).status == 201
    writes = [{"op": "delete", "slug": slug} for slug in ("default", "a", "b", "c")]
    for query in ("", "?dry_run=true"):
        with nothing_written(filled):
            answer = batch(filled, *writes, query=query)
            problem = expect_problem(answer, 409, "in use", "writes[0]", "writes[2]", "writes[3]")
        assert [each["field"] for each in problem["errors"]] == ["writes[0]", "writes[2]", "writes[3]"]
        assert problem["detail"].startswith('profile "default" is the default of registry "default"')
        assert 'profile "c" in registry "default" is in use by label "prod"' in problem["errors"][2]["reason"]


def test_what_is_in_use_only_because_another_deletion_is_refused_is_not_named(filled, expect_problem, nothing_written):
    assert filled.request("PUT", f"{PROFILES}/b/labels/prod", {"version": 1}).status == 201
    with nothing_written(filled):
        writes = [{"op": "delete", "slug": slug} for slug in ("a", "b", "c", "agent", "default")]
        expect_problem(batch(filled, *writes), 409, "in use", "writes[1]")


def test_whole_registry_is_emptied_with_its_default_last(app):
    answer = batch(app, {"op": "delete", "slug": "agent"}, {"op": "delete", "slug": "default"})

    assert answer.status == 200
    assert app.get(PROFILES).json == []


def test_expected_version_of_a_default_is_that_before_the_batch(filled):
    version = filled.get(f"{REGISTRIES}/default").json["metadata"]["version"]
    patch = {"op": "patch", "slug": "a", "document": {"description": "d"}}
    answer = batch(filled, patch, {"op": "set_default", "slug": "b", "expected_version": version})

    assert answer.status == 200
    assert filled.get(f"{PROFILES}/b").json["is_default"]


def test_batch_that_changes_nothing_writes_nothing(filled, nothing_written):
    with nothing_written(filled):
        answer = batch(filled, {"op": "patch", "slug": "a"}, {"op": "patch", "slug": "b", "document": None})
    assert [each["version"] for each in answer.json["results"]] == [1, 1]


def test_plugins_hear_of_each_write_after_the_commit():
    listening = Listening()
    with make_app(listening) as app:
        for slug in "abcd":
            app.post(PROFILES, {"slug": slug})
        del listening.changes[:]
        stale = {"op": "delete", "slug": "c", "expected_version": 9}
        batch(app, {"op": "patch", "slug": "a", "document": {"description": "d"}}, stale)
        batch(app, {"op": "patch", "slug": "a", "document": {"description": "d"}}, query="?dry_run=true")
        assert listening.changes == []
        batch(
            app,
            {"op": "patch", "slug": "a", "document": {"description": "d"}},
            {"op": "patch", "slug": "d", "document": {}},
            {"op": "delete", "slug": "b"},
            {"op": "set_default", "slug": "c"},
        )

    assert listening.changes == [("update", "a", 2, True), ("delete", "b", 2, False), ("set_default", "c", 1, True)]


def test_batch_is_checked_again_where_a_profile_moves_meanwhile(expect_problem, revisions):
    waiting = Waiting()
    with make_app(waiting) as app:
        for slug in "ab":
            app.post(PROFILES, {"slug": slug})
        patches = [{"op": "patch", "slug": slug, "document": {"description": "batch"}} for slug in "ab"]

        waiting.meanwhile = lambda: app.patch(f"{PROFILES}/b", {"display_name": "meanwhile"})
        answer = batch(app, *patches)
        assert [each["version"] for each in answer.json["results"]] == [2, 3]
        assert answer.json["results"][1]["document"]["display_name"] == "meanwhile"
        assert revisions(app, "a") == [(1, "create"), (2, "update")]

        waiting.meanwhile = lambda: app.delete(f"{PROFILES}/b")
        patches = [each | {"document": {"description": "again"}} for each in patches]
        expect_problem(batch(app, *patches), 404, "profile not found", "writes[1]")
        assert revisions(app, "a") == [(1, "create"), (2, "update")]


def test_racing_batches_are_made_one_after_the_other(app, revisions):
    slugs = [f"p{number}" for number in range(5)]
    batch(app, *({"op": "create", "slug": slug} for slug in slugs))
    gate = threading.Barrier(2)

    def client(name, order):
        gate.wait(30)
        for number in range(10):
            document = {"description": f"{name} {number}"}
            answer = batch(app, *({"op": "patch", "slug": slug, "document": document} for slug in order))
            assert answer.status == 200, answer.body

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(client, ("one", "two"), (slugs, slugs[::-1])))

    assert {tuple(version for version, _ in revisions(app, slug)) for slug in slugs} == {tuple(range(1, 22))}
    histories = {
        tuple(
            app.program.store.database.rows(
                "SELECT json_extract(payload_json, '$.description') FROM profile_revisions WHERE slug = ? ORDER BY seq",
                (slug,),
            )
        )
        for slug in slugs
    }
    assert len(histories) == 1


def test_of_batches_on_one_version_one_wins(app):
    batch(app, *({"op": "create", "slug": slug} for slug in "ab"))
    gate = threading.Barrier(4)

    def client(number):
        gate.wait(30)
        document = {"description": str(number)}
        patches = ({"op": "patch", "slug": slug, "expected_version": 1, "document": document} for slug in "ab")
        return batch(app, *patches).status

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(client, range(4))) == [200, 409, 409, 409]
    assert {app.get(f"{PROFILES}/{slug}").json["metadata"]["version"] for slug in "ab"} == {2}


def test_programs_may_make_any_number_of_writes(app):
    program = app.program
    service = BatchService(ProfileWrites(program.store, program.host, program.health, default_registry="default"))
    writes = [
        Write(op="create", target=Target(slug=f"p{number}", place=f"p{number}.yaml"), document=b'{"description": "d"}')
        for number in range(500)
    ]
    author = Author(actor="files", source="cli", reason="applied")

    assert len(service.apply(writes, author=author, dry_run=True)) == 500
    assert len(app.get(PROFILES).json) == 2
    assert [outcome.version for outcome in service.apply(writes, author=author)] == [1] * 500
    assert len(app.get(PROFILES).json) == 502
