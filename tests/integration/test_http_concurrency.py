"""Many threads on one app: exactly one wins where only one may, and nothing that was acknowledged is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

PROFILES = "/api/chat/profiles"
X = f"{PROFILES}/x"
THREADS = 8
ROUNDS = 12


def at_once(*sends):
    """The answers of calls that begin together, each in a thread of its own."""
    gate = threading.Barrier(len(sends))

    def run(send):
        gate.wait(30)
        return send()

    with ThreadPoolExecutor(len(sends)) as threads:
        return list(threads.map(run, sends))


def test_of_many_that_create_one_slug_one_wins(app, expect_problem, revisions):
    answers = at_once(*[lambda n=n: app.post(PROFILES, {"slug": "x", "description": str(n)}) for n in range(THREADS)])

    assert sorted(answer.status for answer in answers) == [201] + [409] * (THREADS - 1)
    for answer in answers:
        if answer.status == 409:
            expect_problem(answer, 409, "already exists")
        else:
            assert app.get(X).body == answer.body
    assert revisions(app, "x") == [(1, "create")]


def test_of_many_that_patch_one_version_one_wins(app, expect_problem, revisions):
    app.post(PROFILES, {"slug": "x"})
    for version in range(1, ROUNDS):
        documents = [{"expected_version": version, "description": f"{version} {n}"} for n in range(THREADS)]
        answers = at_once(*[lambda document=document: app.patch(X, document) for document in documents])
        assert sorted(answer.status for answer in answers) == [200] + [409] * (THREADS - 1)
        winner = next(answer for answer in answers if answer.status == 200)
        assert app.get(X).body == winner.body
        for answer in answers:
            if answer is not winner:
                problem = expect_problem(answer, 409, "version conflict")
                assert problem["current"]["version"] == version + 1
    assert [version for version, _ in revisions(app, "x")] == list(range(1, ROUNDS + 1))


def test_of_many_that_patch_one_etag_one_wins(app):
    etag = app.post(PROFILES, {"slug": "x"}).headers["etag"]
    answers = at_once(*[lambda n=n: app.patch(X, {"description": str(n)}, if_match=etag) for n in range(THREADS)])

    assert sorted(answer.status for answer in answers) == [200] + [412] * (THREADS - 1)


def test_of_many_that_patch_different_fields_none_is_lost(app, revisions):
    app.post(PROFILES, {"slug": "x"})
    for number in range(ROUNDS):
        documents = [
            {"display_name": f"name {number}"},
            {"description": f"text {number}"},
            {"runtime": {"system_prompt": f"prompt {number}"}},
            {"policy": {"denied_override_keys": [f"key{number}"]}},
            {"metadata": {"tags": [f"tag{number}"]}},
            {"extensions": {"acme.badge@v1": number}},
        ]
        answers = at_once(*[lambda document=document: app.patch(X, document) for document in documents])
        assert [answer.status for answer in answers] == [200] * len(documents)
        stored = app.get(X).json
        assert stored["display_name"] == f"name {number}"
        assert stored["description"] == f"text {number}"
        assert stored["runtime"]["system_prompt"] == f"prompt {number}"
        assert stored["policy"]["denied_override_keys"] == [f"key{number}"]
        assert stored["metadata"]["tags"] == [f"tag{number}"]
        assert stored["extensions"]["acme.badge@v1"] == number
    assert [version for version, _ in revisions(app, "x")] == list(range(1, ROUNDS * 6 + 2))


def test_races_of_creating_changing_and_deleting_leave_a_consistent_history(app, revisions):
    def create(_):
        return app.post(PROFILES, {"slug": "x"})

    def change(number):
        return app.patch(X, {"description": str(number)})

    def delete(_):
        return app.delete(X)

    def client(role):
        return lambda: [role(number).status for number in range(ROUNDS)]

    statuses = at_once(*map(client, [create, delete, change, create, delete, change, create, delete]))

    history = revisions(app, "x")
    versions, ops = [version for version, _ in history], [op for _, op in history]
    assert versions == list(range(1, len(history) + 1))
    acknowledged = [status for each in statuses for status in each]
    assert set(acknowledged) <= {200, 201, 204, 404, 409}
    assert [ops.count(op) for op in ("create", "delete")] == [acknowledged.count(status) for status in (201, 204)]
    exists = False
    for op in ops:
        assert exists is (op != "create")
        exists = op != "delete"
    assert (app.get(X).status == 200) is exists


def test_of_many_that_set_the_default_at_one_version_one_wins(app):
    for number in range(THREADS):
        app.post(PROFILES, {"slug": f"p{number}"})
    version = app.get("/api/chat/registries/default").json["metadata"]["version"]
    answers = at_once(
        *[lambda n=n: app.post(f"{PROFILES}/p{n}/default", {"expected_version": version}) for n in range(THREADS)]
    )

    assert sorted(answer.status for answer in answers) == [200] + [409] * (THREADS - 1)
    assert [item["is_default"] for item in app.get(PROFILES).json].count(True) == 1


def test_default_is_not_deleted_while_others_are_created(app):
    for number in range(ROUNDS):
        slug = f"p{number}"
        at_once(
            lambda slug=slug: app.post(f"{PROFILES}/{slug}/default"),
            lambda slug=slug: app.post(PROFILES, {"slug": slug}),
        )
        app.post(f"{PROFILES}/{slug}/default")
        at_once(lambda slug=slug: app.delete(f"{PROFILES}/{slug}"), lambda: app.post(f"{PROFILES}/agent/default"))
        assert [item["is_default"] for item in app.get(PROFILES).json].count(True) == 1


def test_registry_is_never_deleted_from_under_a_profile(app):
    for _ in range(ROUNDS):
        app.post("/api/chat/registries", {"slug": "team"})
        created, deleted = at_once(
            lambda: app.post(PROFILES, {"slug": "x", "registry": "team"}),
            lambda: app.delete("/api/chat/registries/team"),
        )
        assert (created.status, deleted.status) in ((201, 409), (404, 204))
        app.delete(f"{PROFILES}/x?registry=team")


def test_readers_see_whole_documents_while_writers_write(app):
    app.post(PROFILES, {"slug": "x", "display_name": "0", "description": "0"})

    def write(offset):
        return [
            app.patch(X, {"display_name": str(offset + n), "description": str(offset + n)}).status
            for n in range(ROUNDS)
        ]

    def read():
        return [
            (document["display_name"], document["description"]) for document in (app.get(X).json for _ in range(50))
        ]

    *_, one, two = at_once(lambda: write(1000), lambda: write(2000), read, read)
    assert all(name == text for name, text in one + two)
