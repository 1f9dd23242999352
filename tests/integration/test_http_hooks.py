"""Hooks that run in a request: what they may refuse, what they hear of, and what happens when they raise."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pinocchio_core.plugin import Problem, hookimpl
from pinocchio_core.testing import make_app

PROFILES = "/api/chat/profiles"
AGENT = f"{PROFILES}/agent"
PRIVATE = "swordfish, and nobody outside may know"


class Checking:
    """A plugin that refuses prompts with TODO in them, and raises where it is told to."""

    def __init__(self):
        self.seen = []
        self.raising = None

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        self.seen.append(profile)
        if self.raising:
            raise self.raising
        if "TODO" in (profile.runtime.system_prompt or ""):
            yield Problem(field="runtime.system_prompt", reason="is not finished", expected="prose", actual="TODO")
            yield Problem(field="display_name", reason="is premature")


class Listening:
    """A plugin that remembers every change, and what another thread reads while it hears of it."""

    app = None

    def __init__(self):
        self.changes = []
        self.read_meanwhile = []
        self.raising = None

    @hookimpl
    def pinocchio_profile_changed(self, change):
        self.changes.append(change)
        if self.app:
            with ThreadPoolExecutor(1) as other:
                self.read_meanwhile.append(other.submit(self.app.get, f"{PROFILES}/{change.slug}").result())
        if self.raising:
            raise self.raising


class Waiting:
    """A plugin that holds every write until it is released."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.release = threading.Event()

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        self.inside.release()
        assert self.release.wait(30)
        return ()


def with_plugin(plugin, shipped):
    return make_app(*shipped, plugin)


def test_problems_of_a_plugin_refuse_the_write(shipped, expect_problem, nothing_written):
    with with_plugin(Checking(), shipped) as app, nothing_written(app):
        for answer in (
            app.post(PROFILES, {"slug": "x", "runtime": {"system_prompt": "TODO"}}),
            app.patch(AGENT, {"runtime": {"system_prompt": "TODO"}}),
        ):
            fields = ("runtime.system_prompt", "display_name")
            problem = expect_problem(answer, 400, "validation error", *fields)
            assert problem["errors"][0]["expected"] == "prose"


def test_plugin_is_asked_of_each_write_that_passed_everything_else(shipped):
    plugin = Checking()
    with with_plugin(plugin, shipped) as app:
        plugin.seen.clear()
        app.post(PROFILES, {"slug": "x", "runtime": {"middlewares": [{"name": "nobody"}]}})
        app.patch(f"{PROFILES}/nobody", {})
        app.patch(AGENT, {"policy": 5})
        assert plugin.seen == []
        created = app.post(PROFILES, {"slug": "x", "registry": "default", "description": "d"})
        app.patch(AGENT, {"display_name": "A"})

    assert created.status == 201
    assert [(profile.registry, profile.slug) for profile in plugin.seen] == [("default", "x"), ("default", "agent")]
    assert plugin.seen[1].display_name == "A"


def test_plugin_is_asked_when_read_only_is_lifted(shipped):
    plugin = Checking()
    with with_plugin(plugin, shipped) as app:
        app.post(PROFILES, {"slug": "x", "policy": {"read_only": True}})
        plugin.seen.clear()
        app.patch(f"{PROFILES}/x", {"policy": {"read_only": False}})

    assert [profile.policy.read_only for profile in plugin.seen] == [False]


@pytest.mark.parametrize(
    "raising", [RuntimeError(PRIVATE), KeyError(PRIVATE), SystemExit(PRIVATE), RecursionError(PRIVATE)]
)
def test_plugin_that_raises_is_named_and_nothing_is_written(shipped, expect_problem, nothing_written, raising):
    plugin = Checking()
    with with_plugin(plugin, shipped) as app:
        plugin.raising = raising
        with nothing_written(app):
            for answer in (app.post(PROFILES, {"slug": "x"}), app.patch(AGENT, {"description": "d"})):
                problem = expect_problem(answer, 500, "plugin failed")
                assert "Checking (given 0)" in problem["detail"]
                assert "pinocchio_validate_profile" in problem["detail"]
                assert PRIVATE.encode() not in answer.body
        plugin.raising = None
        assert app.post(PROFILES, {"slug": "x"}).status == 201


def test_traceback_of_a_plugin_is_logged_under_the_request_id(shipped, caplog):
    plugin = Checking()
    with with_plugin(plugin, shipped) as app, caplog.at_level(logging.ERROR):
        plugin.raising = RuntimeError(PRIVATE)
        app.post(PROFILES, {"slug": "x"}, x_request_id="find-me")

    assert PRIVATE in caplog.text
    assert any("find-me" in record.getMessage() and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("nonsense", [[5], 5, [{"field": "x", "reason": "y"}]])
def test_plugin_that_returns_nonsense_is_named(shipped, expect_problem, nothing_written, nonsense):
    class Wrong:
        """A plugin that returns no problems but something else."""

        returned = ()

        @hookimpl
        def pinocchio_validate_profile(self, profile):
            return self.returned

    plugin = Wrong()
    with with_plugin(plugin, shipped) as app, nothing_written(app):
        plugin.returned = nonsense
        problem = expect_problem(app.post(PROFILES, {"slug": "x"}), 500, "plugin failed")
        assert "Wrong (given 0)" in problem["detail"]


def test_every_change_is_told_after_it_is_committed(shipped):
    plugin = Listening()
    with with_plugin(plugin, shipped) as app:
        plugin.app = app
        app.post(PROFILES, {"slug": "x", "description": "one"})
        app.patch(f"{PROFILES}/x", {"description": "two"})
        app.post(f"{PROFILES}/x/default")
        app.delete(AGENT)

    told = [(change.op, change.registry, change.slug, change.version, change.actor) for change in plugin.changes]
    actor = "anonymous@127.0.0.1"
    assert told == [
        ("create", "default", "x", 1, actor),
        ("update", "default", "x", 2, actor),
        ("set_default", "default", "x", 2, actor),
        ("delete", "default", "agent", 2, actor),
    ]
    assert [change.profile and change.profile.description for change in plugin.changes] == ["one", "two", "two", None]
    assert [answer.status for answer in plugin.read_meanwhile] == [200, 200, 200, 404]
    assert plugin.read_meanwhile[1].json["description"] == "two"
    assert plugin.read_meanwhile[2].json["is_default"] is True
    times = [change.at_ms for change in plugin.changes]
    assert times == sorted(times)
    assert times[1] == plugin.read_meanwhile[1].json["metadata"]["updated_at_ms"]


def test_what_changes_nothing_is_not_told(shipped):
    plugin = Listening()
    with with_plugin(plugin, shipped) as app:
        app.patch(AGENT, {})
        app.patch(AGENT, {"expected_version": 99})
        app.post(PROFILES, {"slug": "agent"})
        app.post(f"{PROFILES}/default/default")
        app.delete(f"{PROFILES}/default")
        app.get(AGENT)

    assert plugin.changes == []


@pytest.mark.parametrize("raising", [RuntimeError(PRIVATE), SystemExit(PRIVATE)])
def test_plugin_that_raises_at_news_does_not_harm_the_request(shipped, caplog, raising):
    plugin, second = Listening(), type("Second", (Listening,), {})()
    with make_app(*shipped, plugin, second) as app:
        plugin.raising = raising
        created = app.post(PROFILES, {"slug": "x"})
        assert created.status == 201
        assert app.get(f"{PROFILES}/x").body == created.body
        assert app.delete(f"{PROFILES}/x").status == 204

    assert "plugin Listening (given 0) failed in pinocchio_profile_changed" in caplog.text
    assert [change.op for change in second.changes] == ["create", "delete"]


def test_plugin_that_hangs_leaves_the_server_answering(shipped, expect_problem):
    plugin = Waiting()
    plugin.release.set()
    with with_plugin(plugin, shipped) as app, ThreadPoolExecutor(8) as clients:
        plugin.release.clear()
        try:
            while plugin.inside.acquire(blocking=False):
                pass
            writes = [clients.submit(app.post, PROFILES, {"slug": f"held{n}"}) for n in range(8)]
            assert all(plugin.inside.acquire(timeout=30) for _ in writes)
            refused = app.post(PROFILES, {"slug": "one-too-many"})
            problem = expect_problem(refused, 503, "overloaded")
            assert int(refused.headers["retry-after"]) > 0
            assert "waiting for plugins" in problem["detail"]
            assert app.get("/healthz").status == app.get("/readyz").status == app.get(PROFILES).status == 200
            assert app.delete(AGENT).status == 204
        finally:
            plugin.release.set()
        assert [write.result().status for write in writes] == [201] * 8
    plugin.release.set()


def test_unexpected_exception_is_logged_and_never_shown(app, expect_problem, caplog):
    # a table of our own that is gone is as unexpected as it gets
    with app.program.store.database.write():
        app.program.store.database.run("DROP TABLE profile_revisions")
    answers = []
    request = threading.Thread(  # a daemon, so that a request that never ends is a failure and no hanging test run
        target=lambda: answers.append(app.post(PROFILES, {"slug": "x"}, x_request_id="find-me")), daemon=True
    )
    request.start()
    request.join(20)

    assert answers, "the request did not end"
    problem = expect_problem(answers[0], 500, "internal error")
    assert "find-me" in problem["detail"]
    assert b"profile_revisions" not in answers[0].body
    assert "no such table: profile_revisions" in caplog.text
    assert any("find-me" in record.getMessage() and record.exc_info for record in caplog.records)
    expect_problem(app.get(f"{PROFILES}/x"), 404, "profile not found")
