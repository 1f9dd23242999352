"""POST /chat and the conversations that it makes, in process."""

import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import (
    Block,
    BlockKind,
    EngineDefinition,
    Event,
    MiddlewareDefinition,
    ToolDefinition,
    hookimpl,
)
from pinocchio_core.service.chats.engines import EngineChoice
from pinocchio_core.service.chats.transcripts import HistoryBounds
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.tables.conversations import Retention
from pinocchio_core.testing import TestApp, make_app
from pinocchio_plugins import calculator, echo, starter_profile

PROFILES = "/api/chat/profiles"
CONVERSATIONS = "/api/chat/conversations"


def say(app, prompt="hello", path="/chat", **fields):
    headers = {name: fields.pop(name) for name in ("cookie", "idempotency_key_header", "accept") if name in fields}
    if "idempotency_key_header" in headers:
        headers["idempotency_key"] = headers.pop("idempotency_key_header")
    return app.post(path, {"prompt": prompt} | fields, **headers)


def script(**settings):
    return {"step_settings_patch": {"echo": settings}}


def events_of(answer):
    blocks = [
        dict(line.split(": ", 1) for line in block.split("\n")) for block in answer.body.decode().split("\n\n") if block
    ]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def test_a_turn_is_answered_from_the_profile_and_says_what_it_ran_with(app):
    answer = say(app, profile="agent")
    assert answer.status == 200
    assert answer.json["reply"].splitlines() == [
        "echo: hello",
        "prompt: You are a helpful assistant. Be concise.",
        "middlewares: agentmode",
    ]
    resolved = app.post(f"{PROFILES}/agent/resolve").json
    names = ("profile", "registry", "runtime_key", "profile_version", "runtime_fingerprint")
    assert {name: answer.json[name] for name in names} == {name: resolved[name] for name in names}


# which profile


@pytest.fixture
def named(app):
    """An app with the registry `team` and profiles whose prompts are their names."""
    app.post("/api/chat/registries", {"slug": "team"})
    for registry, slug in (("default", "one"), ("default", "two"), ("team", "one"), ("team", "three")):
        app.post(PROFILES, {"slug": slug, "registry": registry, "runtime": {"system_prompt": f"{registry} {slug}"}})
    app.post(f"{PROFILES}/three/default?registry=team")
    return app


@pytest.mark.parametrize(
    ("path", "body", "cookie", "chosen"),
    [
        ("/chat", {}, None, "default default"),
        ("/chat/one", {"profile": "two"}, None, "default one"),
        ("/chat?profile=one", {"profile": "two"}, None, "default two"),
        ("/chat?profile=one&runtime=two", {}, "two", "default one"),
        ("/chat?runtime=two", {}, "one", "default two"),
        ("/chat", {}, "chat_profile=two", "default two"),
        ("/chat", {}, "chat_profile=team:one", "team one"),
        ("/chat", {}, "chat_profile=nope", "default default"),
        ("/chat", {"registry": "team"}, "chat_profile=one", "team one"),
        ("/chat", {"registry": "team"}, None, "team three"),
        ("/chat?registry=team", {}, None, "team three"),
        ("/chat/one?registry=team", {"registry": "default"}, None, "default one"),
        ("/chat", {"profile": " ONE "}, None, "default one"),
        ("/chat?profile=one", {"profile": " "}, None, "default one"),
    ],
)
def test_the_profile_is_chosen_in_this_order(named, path, body, cookie, chosen):
    headers = {"cookie": cookie} if cookie else {}
    answer = say(named, path=path, **body, **headers).json
    assert f"{answer['registry']} {answer['profile']}" == chosen


@pytest.mark.parametrize(
    ("path", "body", "title"),
    [
        ("/chat/nope", {}, "profile not found"),
        ("/chat", {"profile": "nope"}, "profile not found"),
        ("/chat", {"registry": "nope"}, "registry not found"),
        ("/chat?registry=nope", {"profile": "one"}, "registry not found"),
    ],
)
def test_what_is_named_and_does_not_exist_is_404(named, expect_problem, path, body, title):
    expect_problem(say(named, path=path, **body), 404, title)
    assert named.get(CONVERSATIONS).json == []


# what is wrong with a request


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x", "conv_id": "a\u0000b"}, "conv_id"),
        ({"prompt": "x", "conv_id": "x" * 129}, "conv_id"),
        ({"prompt": "x", "conv_id": "a/b"}, "conv_id"),
        ({"prompt": "x", "idempotency_key": "a\nb"}, "idempotency_key"),
        ({"prompt": "x", "profile": "a b"}, "profile"),
        ({"prompt": "x", "stream": "yes"}, "stream"),
        ({"prompt": "x", "more": 1}, "more"),
        ({"prompt": "x", "profile": "agent", "overrides": {"tools": ["gone"]}}, "overrides.tools[0]"),
        (
            {"prompt": "x", "profile": "agent", "overrides": {"stepSettingsPatch": {"echo": {"say": 5}}}},
            "runtime.step_settings_patch.echo",
        ),
        (
            {
                "prompt": "x",
                "profile": "agent",
                "overrides": {"stepSettingsPatch": {"ai-chat": {"ai-api-type": "gone"}}},
            },
            "runtime.step_settings_patch.ai-chat.ai-api-type",
        ),
    ],
)
def test_a_wrong_request_is_named_and_nothing_is_kept(app, expect_problem, body, field):
    expect_problem(app.post("/chat", body), 400, "validation error", field)
    assert app.get(CONVERSATIONS).json == []


@pytest.mark.parametrize(("query", "field"), [("profile=a%20b", "profile"), ("profile=a&runtime=a%00b", "runtime")])
def test_a_profile_in_the_query_is_checked_also_where_another_wins(app, expect_problem, query, field):
    for path, body in (("/chat", {}), ("/chat", {"profile": "agent"}), ("/chat/agent", {})):
        answer = say(app, path=f"{path}?{query}", **body)
        expect_problem(answer, 400, "validation error", f"query.{field}")


def test_a_key_in_the_body_is_checked_also_where_that_of_a_header_wins(app, expect_problem):
    answer = say(app, idempotency_key="a\nb", idempotency_key_header="k")
    expect_problem(answer, 400, "validation error", "idempotency_key")


def test_the_prompt_may_be_called_text_and_the_words_for_none_are_known(app, expect_problem):
    assert app.post("/chat", {"text": "hi"}).json["reply"].startswith("echo: hi")
    assert app.post("/chat", {"prompt": " ", "text": "hi"}).json["reply"].startswith("echo: hi")
    assert "missing prompt" in expect_problem(app.post("/chat", {"prompt": ""}), 400, "validation error")["detail"]


def test_a_prompt_of_almost_a_megabyte_is_answered(app):
    assert len(say(app, "x" * 900_000).json["reply"]) > 900_000


# conversations


def test_a_conversation_goes_on_and_is_kept_with_what_each_turn_ran_with(app):
    first = say(app, "one", profile="agent").json
    app.patch(f"{PROFILES}/agent", {"runtime": {"system_prompt": "Other."}})
    second = say(app, "two", profile="agent", conv_id=first["conv_id"]).json
    assert second["conv_id"] == first["conv_id"]
    kept = app.get(f"{CONVERSATIONS}/{first['conv_id']}").json
    assert [turn["number"] for turn in kept["turns"]] == [1, 2]
    assert [turn["profile_version"] for turn in kept["turns"]] == [1, 2]
    assert [turn["answer"] for turn in kept["turns"]] == [first, second]
    assert [[block["text"] for block in turn["blocks"]] for turn in kept["turns"]] == [
        ["one", first["reply"]],
        ["two", second["reply"]],
    ]
    assert second["usage"]["input_tokens"] > first["usage"]["output_tokens"]
    assert "prompt: Other." in second["reply"]
    (listed,) = app.get(CONVERSATIONS).json
    assert (listed["conv_id"], listed["turns"]) == (first["conv_id"], 2)


def test_a_conversation_is_deleted_with_its_turns(app, expect_problem):
    say(app, conv_id="mine")
    assert app.delete(f"{CONVERSATIONS}/mine").status == 204
    expect_problem(app.get(f"{CONVERSATIONS}/mine"), 404, "conversation not found")
    expect_problem(app.delete(f"{CONVERSATIONS}/mine"), 404, "conversation not found")
    assert app.get(CONVERSATIONS).json == []


def test_conversations_are_removed_by_number_and_age_but_for_those_that_run(app):
    for number in range(4):
        say(app, conv_id=f"c{number}")
    store = app.program.conversations
    with store.database.write():
        store.database.run("UPDATE conversations SET updated_at_ms = 10 WHERE conv_id = 'c0'")
        store.database.run("UPDATE conversations SET updated_at_ms = 20 WHERE conv_id = 'c1'")
        store.database.run("UPDATE turns SET status = 'running' WHERE conv_id = 'c0'")
    assert store.prune(Retention()) == 0
    assert store.prune(Retention(max_age_s=60)) == 1
    assert store.prune(Retention(keep=1)) == 1
    left = {each["conv_id"] for each in store.recent(100)}
    assert "c0" in left
    assert len(left) == 2
    assert store.history("c1") == []


def test_a_turn_that_is_stored_is_answered_also_where_old_conversations_cannot_be_removed(tmp_path, caplog):
    host = Host(given_plugins((echo, starter_profile)))
    more = More(retention=Retention(keep=1))
    program = assemble(host, dsn_of_path(str(tmp_path / "p.db")), default_registry="default", more=more)
    with closing(program):
        app, database = TestApp(program), program.conversations.database
        with database.write():
            database.run("INSERT INTO conversations (conv_id, created_at_ms, updated_at_ms) VALUES ('old', 0, 0)")
            database.run("CREATE TABLE filler (data BLOB)")
            database.run(
                "CREATE TRIGGER no_room BEFORE DELETE ON conversations"
                " BEGIN INSERT INTO filler VALUES (zeroblob(10000000)); END"
            )
        database.connect().execute("PRAGMA max_page_count = 500")  # room for a turn
        assert say(app, conv_id="c").status == 200
        assert [turn["status"] for turn in app.get(f"{CONVERSATIONS}/c").json["turns"]] == ["completed"]
        assert {each["conv_id"] for each in app.get(CONVERSATIONS).json} == {"c", "old"}
    assert "old conversations stay for now: store unavailable: the disk is full" in caplog.text


def test_the_same_key_gets_the_same_answer_and_another_request_409(app, expect_problem):
    first = say(app, conv_id="c", idempotency_key="k")
    assert say(app, conv_id="c", idempotency_key_header="k").body == first.body
    assert say(app, conv_id="c", idempotency_key="other", idempotency_key_header="k").body == first.body
    assert len(app.get(f"{CONVERSATIONS}/c").json["turns"]) == 1
    expect_problem(say(app, "other", conv_id="c", idempotency_key="k"), 409, "idempotency key reused")
    assert say(app, conv_id="d", idempotency_key="k").json["conv_id"] == "d"


def test_headers_come_first_for_a_key_unless_they_are_blank(app):
    def key_of(*, own="own", **headers):
        return app.post("/chat", {"prompt": "x", "idempotency_key": own}, **headers).json["idempotency_key"]

    assert key_of(idempotency_key="one", x_idempotency_key="two") == "one"
    assert key_of(idempotency_key=" ", x_idempotency_key="two") == "two"
    assert key_of(idempotency_key=" ", x_idempotency_key="") == "own"


def test_a_key_that_was_used_otherwise_is_said_before_the_first_event(app, expect_problem):
    say(app, conv_id="c", idempotency_key="k")
    expect_problem(say(app, "other", conv_id="c", idempotency_key="k", stream=True), 409, "idempotency key reused")
    again = events_of(say(app, conv_id="c", idempotency_key="k", accept="Text/Event-Stream"))
    assert [name for name, _ in again] == ["done"]


def test_a_turn_that_failed_runs_again_under_its_key(app):
    fail = {"profile": "agent", "overrides": script(fail="away")}
    assert say(app, conv_id="c", idempotency_key="k", **fail).status == 502
    assert say(app, conv_id="c", idempotency_key="k", **fail).status == 502
    assert [turn["status"] for turn in app.get(f"{CONVERSATIONS}/c").json["turns"]] == ["failed"]


# engines, tools and middlewares that fail


def test_an_engine_that_fails_is_a_502_and_the_message_is_kept(app, expect_problem, caplog):
    answer = say(
        app, "secret", conv_id="c", profile="agent", overrides=script(fail="secret: away", **{"fail-status": 429})
    )
    assert answer.status == 502
    assert (answer.json["title"], answer.json["detail"]) == ("engine failed", "secret: away")
    assert answer.json["errors"] == [
        {"field": "engine", "reason": "the provider answered with status 429", "actual": "429"}
    ]
    (turn,) = app.get(f"{CONVERSATIONS}/c").json["turns"]
    assert (turn["status"], turn["blocks"]) == ("failed", [{"kind": "user", "text": "secret"}])
    assert "secret" not in caplog.text
    assert say(app, "again", conv_id="c").status == 200


def test_tools_are_called_with_checked_arguments_and_their_results_shown(app):
    calls = [
        {"tool": "calculator", "arguments": {"expression": "6 * 7"}},
        {"tool": "calculator", "arguments": {"expresion": "1"}},
        {"tool": "nope"},
    ]
    overrides = {"tools": ["calculator"]} | script(**{"tool-calls": calls})
    answer = say(app, profile="agent", conv_id="c", overrides=overrides).json
    results = [
        json.loads(line.removeprefix("result: ")) for line in answer["reply"].splitlines() if line.startswith("result")
    ]
    assert results[0] == "42"
    assert "do not fit the schema" in results[1]
    assert "there is no tool 'nope'" in results[2]
    kinds = [block["kind"] for block in app.get(f"{CONVERSATIONS}/c").json["turns"][0]["blocks"]]
    assert kinds == ["user", *["tool_call"] * 3, *["tool_result"] * 3, "assistant"]


class NoException(BaseException):
    """What plugins may raise too."""


class Odd:
    """Middlewares and tools that do what they must not."""

    @hookimpl
    def pinocchio_middleware_definitions(self):
        def before(turn, following):
            raise RuntimeError("before")

        def after(turn, following):
            following(turn)
            raise SystemExit(3)

        def nothing(turn, following):
            following(turn)

        def bare(turn, following):
            raise NoException

        def marks(turn, following):
            ended = following(turn.replace(blocks=(*turn.blocks[:-1], Block(kind=BlockKind.USER, text="redacted"))))
            return ended.replace(state={**ended.state, "marks": ended.state.get("marks", 0) + 1})

        made = {"before": before, "after": after, "nothing": nothing, "bare": bare, "marks": marks, "unbuildable": None}
        for name, middleware in made.items():
            yield MiddlewareDefinition(name, {"type": "object"}, lambda _, m=middleware: m or 1 / 0)

    @hookimpl
    def pinocchio_tools(self):
        def fails(arguments):
            raise NoException("no luck")

        for name, call in {"fails": fails, "long": lambda _: "x" * 10_000_000, "number": lambda _: 5}.items():
            yield ToolDefinition(name, description="", arguments_schema={"type": "object"}, call=call)


@pytest.fixture
def odd():
    with make_app(Odd, echo, calculator, starter_profile) as app:
        uses = [[{"name": name}] for name in ("before", "after", "nothing", "bare", "unbuildable", "marks")]
        for (use,) in uses:
            app.post(PROFILES, {"slug": use["name"], "runtime": {"middlewares": [use]}})
        app.post(PROFILES, {"slug": "open", "policy": {"allow_overrides": True}})
        yield app


@pytest.mark.parametrize("name", ["before", "after", "nothing", "bare", "unbuildable"])
def test_a_middleware_that_raises_is_named_with_its_plugin(odd, expect_problem, name):
    problem = expect_problem(say(odd, conv_id="c", profile=name), 500, "middleware failed")
    assert problem["detail"] == f'the middleware "{name}" of plugin Odd (given 0) failed'
    (turn,) = odd.get(f"{CONVERSATIONS}/c").json["turns"]
    assert (turn["status"], turn["blocks"]) == ("failed", [{"kind": "user", "text": "hello"}])


def test_what_a_middleware_put_in_place_of_the_message_is_what_is_kept_and_its_state_lasts(odd):
    for _ in range(2):
        say(odd, "secret", conv_id="c", profile="marks")
    turns = odd.get(f"{CONVERSATIONS}/c").json["turns"]
    assert [turn["blocks"][0]["text"] for turn in turns] == ["redacted", "redacted"]
    assert odd.program.conversations.state("c") == {"marks": 2}


def test_whatever_a_tool_does_is_told_to_the_model(odd):
    calls = [{"tool": name} for name in ("fails", "long", "number")]
    overrides = {"tools": ["fails", "long", "number"]} | script(**{"tool-calls": calls})
    answer = say(odd, profile="open", conv_id="c", overrides=overrides)
    assert answer.status == 200
    blocks = odd.get(f"{CONVERSATIONS}/c").json["turns"][0]["blocks"]
    fails, long, number = (block["text"] for block in blocks if block["kind"] == "tool_result")
    assert "no luck" in fails
    assert len(long) < 70_000
    assert long.endswith("(cut: the whole has 10000000 characters)")
    assert number == "5"


class Unbuildable:
    """Engines that cannot be made or asked, and a middleware that tells of what is no JSON."""

    @hookimpl
    def pinocchio_engines(self):
        def answer(turn):
            raise NoException

        yield EngineDefinition("unbuildable", build=lambda settings, options: 1 / 0)
        yield EngineDefinition("unable", build=lambda settings, options: answer)

    @hookimpl
    def pinocchio_middleware_definitions(self):
        def tells(turn, following):
            return following(turn).replace(events=(Event(type="told", data={"what": object()}),))

        yield MiddlewareDefinition("tells", {"type": "object"}, lambda _: tells)


@pytest.fixture
def unbuildable():
    with make_app(Unbuildable, echo, starter_profile) as app:
        app.post(PROFILES, {"slug": "tells", "runtime": {"middlewares": [{"name": "tells"}]}})
        for engine in ("unbuildable", "unable"):
            settings = {"ai-chat": {"ai-api-type": engine}}
            app.post(PROFILES, {"slug": engine, "runtime": {"step_settings_patch": settings}})
        yield app


@pytest.mark.parametrize("engine", ["unbuildable", "unable"])
def test_an_engine_that_cannot_be_made_or_asked_is_a_502_and_the_message_is_kept(unbuildable, expect_problem, engine):
    problem = expect_problem(say(unbuildable, conv_id="c", profile=engine), 502, "engine failed")
    assert "Unbuildable" in problem["detail"]
    assert unbuildable.get(f"{CONVERSATIONS}/c").json["turns"][0]["status"] == "failed"


class Emptying:
    """An engine that takes its settings out of where it got them from."""

    @hookimpl
    def pinocchio_engines(self):
        def build(settings, options):
            for section in settings.values():
                section.clear()
            return lambda turn: turn.replace(blocks=(*turn.blocks, Block(kind=BlockKind.ASSISTANT, text="done")))

        yield EngineDefinition("emptying", build=build)


def test_what_an_engine_does_to_its_settings_changes_nothing_of_the_profile():
    settings = {"ai-chat": {"ai-api-type": "emptying"}}
    with make_app(Emptying, echo, starter_profile) as app:
        app.post(PROFILES, {"slug": "e", "runtime": {"step_settings_patch": settings}})
        before = app.post(f"{PROFILES}/e/resolve", {}).json
        assert before["runtime"]["step_settings_patch"] == settings
        assert say(app, profile="e").json["reply"] == "done"
        assert app.post(f"{PROFILES}/e/resolve", {}).json == before


def test_what_a_middleware_tells_need_not_be_json(unbuildable):
    answer = say(unbuildable, conv_id="c", profile="tells")
    assert answer.status == 200
    assert answer.json["events"][0]["data"]["what"].startswith("<object")


def test_a_turn_that_was_left_running_by_this_server_is_no_obstacle(app):
    say(app, conv_id="c")
    store = app.program.conversations
    with store.database.write():
        store.database.run("UPDATE turns SET status = 'running'")
    assert say(app, conv_id="c").status == 200
    assert [turn["status"] for turn in app.get(f"{CONVERSATIONS}/c").json["turns"]] == ["failed", "completed"]


def test_a_turn_is_no_obstacle_where_some_process_has_the_id_that_its_dead_server_had(app):
    say(app, conv_id="c")
    store = app.program.conversations
    with store.database.write():  # as an older version wrote it
        store.database.run("UPDATE turns SET status = 'running', server_process = ?", (os.getppid(),))
    assert say(app, conv_id="c").status == 200
    assert [turn["status"] for turn in app.get(f"{CONVERSATIONS}/c").json["turns"]] == ["failed", "completed"]


RUNS_A_TURN = """
import pathlib, sys
from pinocchio_core.store.layouts.conversations import open_conversations
from pinocchio_core.store.sqlite.dsn import dsn_of_path

store = open_conversations(dsn_of_path(sys.argv[1]), clock=lambda: 0)
mark = f"UPDATE turns SET status = 'running', server_process = {store.living.number}"
with store.database.write():
    store.database.run(mark)
print("runs", flush=True)
sys.stdin.readline()
with store.database.write():
    store.database.run("UPDATE turns SET status = 'cancelled' WHERE status = 'running' AND number = 1")
print("ended", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("ends", "status"), [(True, "cancelled"), (False, "failed")], ids=["ends", "is killed"])
def test_a_turn_waits_for_that_of_another_process_until_it_ends_or_dies(app, ends, status):
    say(app, conv_id="c")
    path = app.program.conversations.database.dsn.path
    command = [sys.executable, "-c", RUNS_A_TURN, str(path)]
    with (
        ThreadPoolExecutor(1) as client,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        try:
            assert other.stdout.readline() == "runs\n"
            waiting = client.submit(say, app, conv_id="c")
            assert wait([waiting], timeout=0.2).not_done
            if ends:
                other.stdin.write("\n")
                other.stdin.flush()
                assert other.stdout.readline() == "ended\n"
        finally:
            if not ends:
                other.kill()
            assert waiting.result(60).status == 200
            other.kill()
    assert [turn["status"] for turn in app.get(f"{CONVERSATIONS}/c").json["turns"]] == [status, "completed"]


# events


def test_the_same_turn_as_events(app):
    overrides = {"tools": ["calculator"]} | script(
        say="four words are said", **{"tool-calls": [{"tool": "calculator", "arguments": {"expression": "1"}}]}
    )
    answer = say(app, profile="agent", overrides=overrides, accept="text/event-stream")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    events = events_of(answer)
    assert [name for name, _ in events] == ["start", "tool_call", "tool_result", *["delta"] * 4, "done"]
    assert "".join(data["text"] for name, data in events if name == "delta") == "four words are said"
    start, done = events[0][1], events[-1][1]
    assert done["reply"] == "four words are said"
    assert {name: done[name] for name in start} == start


def test_a_turn_that_fails_on_the_way_ends_with_a_problem(app):
    overrides = script(say="a b c", fail="away", **{"fail-after": 2})
    answer = say(app, profile="agent", conv_id="c", stream=True, overrides=overrides)
    events = events_of(answer)
    assert [name for name, _ in events] == ["start", "delta", "delta", "error"]
    assert (events[-1][1]["status"], events[-1][1]["title"]) == (502, "engine failed")
    assert events[-1][1]["request_id"] == answer.headers["x-request-id"]
    assert app.get(f"{CONVERSATIONS}/c").json["turns"][0]["status"] == "failed"


def test_what_is_wrong_with_a_request_is_no_event(app, expect_problem):
    expect_problem(app.post("/chat", {"prompt": " ", "stream": True}), 400, "validation error", "prompt")


def test_a_mode_that_is_switched_is_an_event_and_lasts(app):
    switch = "Done.\n```yaml\nmode_switch:\n  analysis: because\n  new_mode: category_regexp_designer\n```"
    first = say(app, profile="agent", conv_id="c", overrides=script(say=switch)).json
    (event,) = first["events"]
    assert (event["type"], event["data"]["to"]) == ("mode", "category_regexp_designer")
    events = events_of(
        say(
            app,
            profile="agent",
            conv_id="c",
            stream=True,
            overrides=script(say=switch.replace("category_regexp_designer", "financial_analyst")),
        )
    )
    assert [name for name, _ in events][-2:] == ["mode", "done"]
    assert app.program.conversations.state("c")["agentmode"]["mode"] == "financial_analyst"


# many at once


def test_turns_of_one_conversation_run_one_after_the_other(app):
    answers = []

    def turn(number):
        answers.append(say(app, f"{number}", conv_id="c").status)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    turns = app.get(f"{CONVERSATIONS}/c").json["turns"]
    assert [turn["number"] for turn in turns] == [1, 2, 3, 4, 5, 6]
    for before, after in itertools.pairwise(turns):
        assert before["ended_at_ms"] <= after["started_at_ms"]


def test_settings_of_engines_are_checked_when_a_profile_is_written(app, expect_problem):
    runtime = {"step_settings_patch": {"echo": {"say": 5, "sya": "x"}, "unknown-engine": {"x": 1}}}
    problem = expect_problem(app.post(PROFILES, {"slug": "x", "runtime": runtime}), 400, "validation error")
    assert {error["field"] for error in problem["errors"]} == {"runtime.step_settings_patch.echo"}
    expect_problem(
        app.post(PROFILES, {"slug": "x", "runtime": {"tools": ["gone"]}}), 400, "validation error", "runtime.tools[0]"
    )
    kept = {"step_settings_patch": {"unknown-engine": {"x": 1}}}
    assert app.post(PROFILES, {"slug": "x", "runtime": kept}).json["runtime"] == kept


# how much of a conversation is sent


class Counting:
    """An engine that says what it was sent besides its own answers."""

    @hookimpl
    def pinocchio_engines(self):
        def build(settings, options):
            def answer(turn):
                text = ",".join(block.text for block in turn.blocks if block.kind is not BlockKind.ASSISTANT)
                return turn.replace(blocks=(*turn.blocks, Block(kind=BlockKind.ASSISTANT, text=text)))

            return answer

        yield EngineDefinition("counting", build=build)


def test_a_long_conversation_is_shortened_for_the_engine_and_stored_whole(tmp_path):
    more = More(history=HistoryBounds(turns=2), engine=EngineChoice(name="counting"))
    host = Host(given_plugins((Counting, echo, starter_profile)))
    program = assemble(host, dsn_of_path(str(tmp_path / "p.db")), default_registry="default", more=more)
    with closing(program):
        app = TestApp(program)
        app.post(PROFILES, {"slug": "brief", "runtime": {"system_prompt": "be brief"}})
        replies = [say(app, str(number), conv_id="c", profile="brief").json["reply"] for number in range(4)]
        assert replies == ["be brief,0", "be brief,0,1", "be brief,0,1,2", "be brief,1,2,3"]
        assert len(app.get(f"{CONVERSATIONS}/c").json["turns"]) == 4


# metrics


def test_metrics_tell_of_turns_and_never_of_what_is_said(app):
    overrides = script(say="secret words", **{"tool-calls": [{"tool": "a"}]}) | {"tools": ["a"]}
    say(app, "hidden prompt", conv_id="c", profile="agent", overrides=overrides, idempotency_key="k")
    say(app, "hidden prompt", conv_id="c", profile="agent", overrides=overrides, idempotency_key="k")
    say(app, "hidden prompt", profile="agent", overrides=script(fail="no"))
    text = app.get("/metrics").body.decode()
    for line in (
        'pinocchio_turns_total{engine="echo",status="completed"} 1.0',
        'pinocchio_turns_total{engine="echo",status="repeated"} 1.0',
        'pinocchio_turns_total{engine="echo",status="failed"} 1.0',
        'pinocchio_turn_duration_seconds_count{engine="echo"} 3.0',
        'pinocchio_turn_first_event_seconds_count{engine="echo"} 1.0',
        'pinocchio_turn_tool_calls_total{engine="echo"} 1.0',
        'pinocchio_turn_tokens_total{engine="echo",kind="output"} 2.0',
        "pinocchio_turns_running 0.0",
        "pinocchio_turns_waiting 0.0",
        "pinocchio_conversations 2.0",
    ):
        assert f"{line}\n" in text
    assert not any(word in text for word in ("secret", "hidden", "words"))
