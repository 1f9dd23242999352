"""Who may do what with a token, and what those without one are told."""

import datetime as dt
import json
from contextlib import ExitStack, closing

import pytest

import pinocchio_agentmode
from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import ToolDefinition, hookimpl
from pinocchio_core.service.access.attempts import LIMIT
from pinocchio_core.service.access.callers import Role, Token, digest_of, new_token
from pinocchio_core.service.access.sites import Sites
from pinocchio_core.service.access.tokens import add_token, remove_token
from pinocchio_core.settings.access import Access
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp
from pinocchio_plugins import calculator, echo, starter_profile

PROFILES, REGISTRIES, CONVERSATIONS = "/api/chat/profiles", "/api/chat/registries", "/api/chat/conversations"
ONE = f"{PROFILES}/default"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Holders:
    """An app with a file of tokens, and what their holders send."""

    def __init__(self, path, stack):
        self.path = path
        self.file = path / "tokens"
        self.secrets = {}
        for role in Role:
            self.give(role.value, role)
        host = Host(given_plugins([starter_profile, pinocchio_agentmode, calculator, echo]))
        more = More(access=Access(sites=Sites(hosts=None), tokens=self.file))
        dsn = dsn_of_path(str(path / "profiles.db"))
        self.app = TestApp(stack.enter_context(closing(assemble(host, dsn, default_registry="default", more=more))))

    def give(self, name, role, *registries, ends=None):
        self.secrets[name] = new_token()
        add_token(
            self.file,
            Token(
                name=name,
                role=role,
                sha256=digest_of(self.secrets[name]),
                registries=registries or None,
                created_at=NOW,
                expires_at=ends,
            ),
        )

    def ask(self, name, method, path, document=None, **headers):
        return self.app.request(method, path, document, authorization=f"Bearer {self.secrets[name]}", **headers)

    def noticed(self):
        """Have the app look at the file, as it does each second."""
        return self.ask("reader", "GET", "/readyz").json


@pytest.fixture
def holders(tmp_path):
    with ExitStack() as stack:
        yield Holders(tmp_path, stack)


BODIES = {"POST": {"slug": "x", "prompt": "hello"}, "PUT": {}, "PATCH": {}}


def statuses(holders, who, *requests):
    return [holders.ask(who, method, path, BODIES.get(method)).status for method, path in requests]


WRITES = [("PATCH", ONE), ("PUT", ONE), ("POST", f"{ONE}/default"), ("DELETE", ONE)]
READS = [
    ("GET", PROFILES),
    ("GET", ONE),
    ("HEAD", ONE),
    ("GET", REGISTRIES),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
]


def test_a_reader_reads_resolves_and_chats_and_writes_nothing(holders):
    assert set(statuses(holders, "reader", *READS)) == {200}
    assert holders.ask("reader", "POST", f"{ONE}/resolve").status == 200
    assert holders.ask("reader", "POST", "/chat", {"prompt": "hello"}).status == 200
    assert holders.ask("reader", "POST", PROFILES, {"slug": "x"}).status == 403
    assert set(statuses(holders, "reader", *WRITES, ("POST", REGISTRIES), ("PATCH", f"{REGISTRIES}/default"))) == {403}


def test_an_editor_writes_profiles_and_no_registries(holders):
    made = holders.ask("editor", "POST", PROFILES, {"slug": "x"})

    assert made.status == 201
    assert (made.json["metadata"]["created_by"], made.json["metadata"]["updated_by"]) == ("editor", "editor")
    assert holders.ask("editor", "DELETE", f"{PROFILES}/x").status == 204
    assert set(statuses(holders, "editor", ("POST", REGISTRIES), ("DELETE", f"{REGISTRIES}/default"))) == {403}


def test_an_admin_writes_registries_too(holders):
    assert holders.ask("admin", "POST", REGISTRIES, {"slug": "x"}).status == 201
    assert holders.ask("admin", "DELETE", f"{REGISTRIES}/x").status == 204


def test_an_editor_moves_labels_and_an_admin_those_that_are_protected(holders, expect_problem):
    label = f"{ONE}/labels/production"
    assert holders.ask("reader", "PUT", label, {"version": 1}).status == 403
    assert holders.ask("editor", "PUT", label, {"version": 1}).status == 201
    assert holders.ask("admin", "PUT", label, {"version": 1, "protected": True}).status == 200
    expect_problem(holders.ask("editor", "DELETE", label), 403, "forbidden")
    assert holders.ask("admin", "DELETE", label).status == 204

    assert holders.ask("editor", "PUT", f"{PROFILES}/agent/labels/used", {"version": 1}).status == 201
    expect_problem(holders.ask("editor", "DELETE", f"{PROFILES}/agent?force=true"), 403, "forbidden")
    assert holders.ask("admin", "DELETE", f"{PROFILES}/agent?force=true").status == 204


def test_only_an_admin_makes_a_read_only_profile_writable(holders, expect_problem):
    assert holders.ask("editor", "PATCH", ONE, {"policy": {"read_only": True}}).status == 200
    lift = {"policy": {"read_only": False}}

    expect_problem(holders.ask("editor", "PATCH", ONE, lift), 403, "forbidden")
    expect_problem(holders.ask("editor", "PATCH", ONE, {"description": "x"}), 403, "policy violation")
    assert holders.ask("admin", "PATCH", ONE, lift).json["policy"]["read_only"] is False


def test_a_refusal_says_which_role_is_needed_and_is_logged_with_the_name_of_the_token(holders, expect_problem, caplog):
    problem = expect_problem(holders.ask("reader", "DELETE", ONE), 403, "forbidden")

    assert problem["detail"] == "not allowed: this needs the role editor, and the token has the role reader"
    assert f'refused DELETE {PROFILES}/{{slug}} to token "reader" from 127.0.0.1' in caplog.text
    assert holders.secrets["reader"] not in caplog.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_whether_it_lives_needs_no_token(holders, path):
    assert holders.app.get(path).status == 200


def test_every_other_route_needs_a_token(holders, expect_problem, caplog):
    for method, path in [*READS, *WRITES, ("POST", "/chat"), ("GET", CONVERSATIONS), ("GET", "/api/chat/plugins")]:
        answer = holders.app.request(method, path)
        assert answer.status == 401, path
        assert answer.headers["www-authenticate"] == 'Bearer realm="pinocchio"'
    expect_problem(holders.app.get(ONE), 401, "unauthorized")
    assert "to no token from 127.0.0.1" in caplog.text


def test_a_method_that_a_route_does_not_have_is_for_administrators_to_hear_of(holders):
    assert holders.ask("admin", "DELETE", PROFILES).status == 405
    assert holders.ask("editor", "DELETE", PROFILES).status == 403
    assert holders.app.request("OPTIONS", PROFILES).status == 200


def hostile(secret):
    return [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {secret}",
        secret,
        f"Bearer {secret[:-1]}",
        f"Bearer {secret}x",
        f"Bearer {secret.upper()}",
        f"Bearer {secret}, Bearer {secret}",
        f"Bearer {digest_of(secret)}",
        f"Bearer {secret}\xe9",
        f"Bearer {'x' * 30_000}",
        "Bearer \xff\x00",
    ]


def test_what_is_no_valid_token_is_told_the_same_whatever_is_wrong_with_it(holders, caplog):
    sent = hostile(holders.secrets["admin"])
    answers = [holders.app.get(ONE, authorization=value) for value in sent]
    told = [{**answer.json, "request_id": None} for answer in answers]

    assert {answer.status for answer in answers} == {401}
    assert all(document == told[0] for document in told)
    assert holders.secrets["admin"] not in caplog.text
    assert holders.secrets["admin"] not in str(told)


def test_the_scheme_is_case_insensitive(holders):
    assert holders.app.get(ONE, authorization=f"bEARER  {holders.secrets['reader']}").status == 200


def test_a_token_that_is_not_valid_is_refused_where_none_is_needed_too(holders):
    assert holders.app.get("/healthz", authorization="Bearer x").status == 401


def test_too_many_invalid_tokens_are_429_and_valid_ones_still_come_in(holders, expect_problem, caplog):
    for _ in range(LIMIT):
        assert holders.app.get(ONE, authorization="Bearer x").status == 401
    caplog.clear()
    answer = holders.app.get(ONE, authorization="Bearer x")

    expect_problem(answer, 429, "too many attempts")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert f"refused GET {PROFILES}/{{slug}} to an invalid token from 127.0.0.1: too many from there" in caplog.text
    caplog.clear()
    expect_problem(holders.app.get(ONE, authorization="Bearer x"), 429, "too many attempts")
    assert caplog.text == "", "whoever goes on does not fill the log"
    assert holders.ask("reader", "GET", ONE).status == 200
    assert holders.app.get(ONE).status == 401


# tokens that are limited to registries


@pytest.fixture
def limited(holders):
    for registry in ("team", "other"):
        assert holders.ask("admin", "POST", REGISTRIES, {"slug": registry}).status == 201
        assert holders.ask("admin", "POST", f"{PROFILES}?registry={registry}", {"slug": "p"}).status == 201
    holders.give("teammate", Role.ADMIN, "team")
    holders.noticed()
    return holders


def test_a_limited_token_sees_and_touches_its_registries(limited):
    assert [row["slug"] for row in limited.ask("teammate", "GET", REGISTRIES).json] == ["team"]
    assert limited.ask("teammate", "GET", f"{PROFILES}/p?registry=team").status == 200
    assert limited.ask("teammate", "PATCH", f"{PROFILES}/p?registry=team", {"description": "x"}).status == 200
    assert limited.ask("teammate", "PATCH", f"{REGISTRIES}/team", {"description": "x"}).status == 200
    assert limited.ask("teammate", "POST", "/chat", {"prompt": "hi", "registry": "team", "profile": "p"}).status == 200


@pytest.mark.parametrize("registry", ["other", "gone"])
def test_for_a_limited_token_other_registries_are_as_if_they_were_not_there(limited, registry):
    requests = [
        ("GET", f"{PROFILES}?registry={registry}", None),
        ("GET", f"{PROFILES}/p?registry={registry}", None),
        ("POST", PROFILES, {"slug": "q", "registry": registry}),
        ("PATCH", f"{PROFILES}/p", {"registry": registry, "description": "x"}),
        ("PUT", f"{PROFILES}/p", {"registry": registry}),
        ("DELETE", f"{PROFILES}/p?registry={registry}", None),
        ("POST", "/api/chat/batch", {"writes": [{"op": "delete", "slug": "p", "registry": registry}]}),
        ("POST", f"{PROFILES}/p/default?registry={registry}", None),
        ("GET", f"{PROFILES}/p/revisions?registry={registry}", None),
        ("GET", f"{PROFILES}/p/revisions/1?registry={registry}", None),
        ("GET", f"{PROFILES}/p/diff?registry={registry}", None),
        ("POST", f"{PROFILES}/p/revisions/1/restore", {"registry": registry}),
        ("GET", f"{PROFILES}/p/labels?registry={registry}", None),
        ("PUT", f"{PROFILES}/p/labels/l", {"registry": registry, "version": 1}),
        ("DELETE", f"{PROFILES}/p/labels/l?registry={registry}", None),
        ("GET", f"{PROFILES}/p@1?registry={registry}", None),
        ("POST", f"{PROFILES}/p@1/resolve", {"registry": registry}),
        ("POST", f"{PROFILES}/p/resolve", {"registry": registry}),
        ("POST", "/chat", {"prompt": "hi", "registry": registry, "profile": "p"}),
        ("POST", "/api/chat/profile", {"slug": "p", "registry": registry}),
        ("GET", f"/api/chat/profile?registry={registry}", None),
        ("GET", f"{REGISTRIES}/{registry}", None),
        ("PATCH", f"{REGISTRIES}/{registry}", {"description": "x"}),
        ("DELETE", f"{REGISTRIES}/{registry}", None),
    ]
    answers = [limited.ask("teammate", *request) for request in requests]

    assert [(answer.status, answer.json["code"]) for answer in answers] == [(404, "registry_not_found")] * len(requests)
    assert {answer.json["detail"] for answer in answers} == {f'registry not found: "{registry}"'}


class Tools:
    """A plugin whose tool the others do not have."""

    @hookimpl
    def pinocchio_tools(self):
        return [ToolDefinition("lost", description="", arguments_schema={"type": "object"}, call=str)]


def told_of_both(limited, method, path, document=None):
    """What a limited token is told of a registry that it does not see, and of one that is not there."""
    told = []
    for registry in ("other", "gone"):
        answer = limited.ask("teammate", method, path.format(registry), document)
        told.append(json.dumps(answer.json | {"request_id": ""}).replace(f'\\"{registry}\\"', "it"))
    assert told[0] == told[1]
    return json.loads(told[0])


def test_a_limited_token_is_told_what_is_wrong_before_what_is_not_there(limited):
    with_tool = {"display_name": "x", "runtime": {"tools": ["nobody"]}}
    for method, path in (
        ("POST", f"{PROFILES}?registry={{}}"),
        ("PATCH", f"{PROFILES}/p?registry={{}}"),
        ("PUT", f"{PROFILES}/p?registry={{}}"),
    ):
        told = told_of_both(limited, method, path, with_tool | ({"slug": "p"} if method == "POST" else {}))
        assert (told["status"], [each["field"] for each in told["errors"]]) == (400, ["runtime.tools[0]"])
    told = told_of_both(limited, "DELETE", f"{PROFILES}/p?registry={{}}&expected_version=x")
    assert (told["status"], [each["field"] for each in told["errors"]]) == (400, ["query.expected_version"])


def test_a_registry_that_a_limited_token_does_not_see_hides_nothing_of_its_batch(limited):
    hidden = [{"op": op, "slug": "p", "document": {}} for op in ("patch", "replace")]
    hidden += [{"op": op, "slug": op} for op in ("create", "delete", "set_default")]
    for write in hidden:
        wrong = {"op": "patch", "slug": "p", "registry": "team", "document": {"display_name": 5}}
        told = told_of_both(limited, "POST", "/api/chat/batch?registry={}", {"writes": [write, wrong]})
        assert (told["status"], [each["field"] for each in told["errors"]]) == (
            400,
            ["writes[1].document.display_name"],
        )

        stale = {"op": "delete", "slug": "p", "registry": "team", "expected_version": 9}
        told = told_of_both(limited, "POST", "/api/chat/batch?registry={}", {"writes": [stale, write]})
        assert (told["status"], told["code"]) == (404, "registry_not_found")
        assert [each["field"] for each in told["errors"]] == ["writes[1]", "writes[0]"]


def test_what_was_wrong_in_a_registry_that_a_limited_token_does_not_see_is_not_known_to_it(limited, opened):
    with opened(limited.path / "profiles.db", Tools()) as elsewhere:
        old = {"slug": "old", "registry": "other", "runtime": {"tools": ["lost"]}}
        assert elsewhere.post(PROFILES, old).status == 201
    change = {"description": "d", "runtime": {"tools": ["lost"]}}

    assert limited.ask("admin", "PATCH", f"{PROFILES}/old?registry=other", change).status == 200
    assert told_of_both(limited, "PATCH", f"{PROFILES}/old?registry={{}}", change)["status"] == 400


def test_a_limited_token_is_not_led_elsewhere_by_the_default_or_a_cookie(limited):
    assert limited.ask("teammate", "GET", PROFILES).status == 404
    assert limited.ask("teammate", "GET", ONE).status == 404
    assert limited.ask("teammate", "POST", f"{PROFILES}/p/default?registry=team").status == 200
    current = limited.ask("teammate", "GET", "/api/chat/profile?registry=team", cookie="chat_profile=other:p")
    assert current.json == {"registry": "team", "slug": "p"}
    assert limited.ask("teammate", "POST", "/chat", {"prompt": "hi"}, cookie="chat_profile=other:p").status == 404


def test_a_limited_token_makes_no_registry_and_sees_nothing_of_the_whole(limited):
    assert limited.ask("teammate", "POST", REGISTRIES, {"slug": "team"}).status == 403
    assert limited.ask("teammate", "GET", "/metrics").status == 403


# the file


def test_a_file_without_tokens_lets_nobody_in(holders):
    for role in Role:
        remove_token(holders.file, role.value)

    assert holders.app.get("/readyz").json == {"status": "ok", "reasons": []}
    assert holders.app.get(ONE).status == 401
    assert holders.ask("admin", "GET", ONE).status == 401


def test_a_change_of_the_file_counts_at_once_when_it_is_looked_at(holders):
    holders.give("new", Role.READER)
    assert holders.noticed()["status"] == "ok"
    assert holders.ask("new", "GET", ONE).status == 200

    remove_token(holders.file, "new")
    holders.noticed()
    assert holders.ask("new", "GET", ONE).status == 401


def test_a_token_that_has_ended_is_none(holders, caplog):
    holders.give("old", Role.ADMIN, ends=NOW)
    holders.noticed()

    assert holders.ask("old", "GET", ONE).status == 401
    assert 'the token "old" has ended' in caplog.text


def spoilt(file):
    file.write_text(file.read_text() + "{nonsense\n")
    return f"{file}, line 4: "


def opened_up(file):
    file.chmod(0o640)
    return "has permissions 0640"


def gone(file):
    file.rename(file.with_name("elsewhere"))
    return "cannot be read"


@pytest.mark.parametrize("spoil", [spoilt, opened_up, gone])
def test_a_file_that_went_bad_leaves_the_tokens_as_they_were_and_is_told_of(holders, caplog, spoil):
    reason = spoil(holders.file)
    ready = holders.noticed()

    assert ready["status"] == "degraded"
    assert reason in ready["reasons"][0]
    assert caplog.text.count(reason) == 1
    assert holders.ask("reader", "GET", ONE).status == 200
    assert reason not in str(holders.app.get("/readyz").json)
    assert holders.app.get("/readyz").json["status"] == "degraded"


# who did it


def test_with_tokens_nobody_says_who_they_are(holders):
    assert (
        holders.ask("editor", "POST", PROFILES, {"slug": "x"}, x_actor="boss").json["metadata"]["created_by"]
        == "editor"
    )


@pytest.mark.parametrize(
    ("sent", "actor"),
    [
        ("ann", "ann"),
        ("  Ann Example <ann@example.org> ", "Ann Example <ann@example.org>"),
        ("J\u00fcrgen".encode().decode("latin-1"), "J\u00fcrgen"),
        ("", "anonymous@127.0.0.1"),
        ("a\tb", "anonymous@127.0.0.1"),
        ("\xff", "anonymous@127.0.0.1"),
        ("x" * 300, "anonymous@127.0.0.1"),
    ],
)
def test_without_tokens_a_sane_x_actor_is_who_writes(app, sent, actor):
    assert app.post(PROFILES, {"slug": "x"}, x_actor=sent).json["metadata"]["created_by"] == actor


# conversations


def test_conversations_are_for_who_began_them_and_for_administrators(holders, expect_problem):
    asked = {"prompt": "hello", "conv_id": "mine"}
    assert holders.ask("editor", "POST", "/chat", asked).status == 200
    holders.give("limited", Role.ADMIN, "default")
    holders.noticed()

    for stranger in ("reader", "limited"):
        assert holders.ask(stranger, "GET", CONVERSATIONS).json == []
        for method, path, body in [
            ("GET", f"{CONVERSATIONS}/mine", None),
            ("DELETE", f"{CONVERSATIONS}/mine", None),
            ("POST", "/chat", asked),
            ("POST", "/chat", asked | {"stream": True}),
        ]:
            expect_problem(holders.ask(stranger, method, path, body), 404, "conversation not found")
    for friend in ("editor", "admin"):
        assert [row["conv_id"] for row in holders.ask(friend, "GET", CONVERSATIONS).json] == ["mine"]
        assert len(holders.ask(friend, "GET", f"{CONVERSATIONS}/mine").json["turns"]) == 1
    assert holders.ask("editor", "DELETE", f"{CONVERSATIONS}/mine").status == 204


def test_conversations_of_before_there_were_owners_are_for_administrators(holders):
    database = holders.app.program.conversations.database
    with database.write():
        database.run("INSERT INTO conversations (conv_id, created_at_ms, updated_at_ms) VALUES ('old', 1, 1)")

    assert [row["conv_id"] for row in holders.ask("admin", "GET", CONVERSATIONS).json] == ["old"]
    assert holders.ask("reader", "GET", CONVERSATIONS).json == []
    assert holders.ask("reader", "POST", "/chat", {"prompt": "x", "conv_id": "old"}).status == 404


def test_roles_hold_under_a_prefix_too(holders):
    host = Host(given_plugins([starter_profile]))
    more = More(access=Access(sites=Sites(hosts=None), tokens=holders.file))
    dsn = dsn_of_path(str(holders.path / "profiles.db"))
    with closing(assemble(host, dsn, default_registry="default", root="/under", more=more)) as program:
        app = TestApp(program)
        reader = f"Bearer {holders.secrets['reader']}"
        assert app.get("/under/healthz").status == 200
        assert app.get(f"/under{ONE}").status == 401
        assert app.get(f"/under{ONE}", authorization=reader).status == 200
        assert app.delete(f"/under{ONE}", authorization=reader).status == 403


def test_a_limited_token_reads_no_other_registry_through_a_stack(limited):
    into = {"runtime": {"extends": [{"registry": "other", "slug": "p"}]}}
    made = limited.ask("teammate", "PATCH", f"{PROFILES}/p?registry=team", into)
    assert made.json["errors"] == [
        {"field": "runtime.extends[0].registry", "reason": 'registry not found: "other"'},
    ]
    assert limited.ask("admin", "PATCH", f"{PROFILES}/p?registry=team", into).status == 200
    assert limited.ask("admin", "POST", f"{PROFILES}/p/resolve?registry=team", {}).status == 200
    turn = {"prompt": "hi", "registry": "team", "profile": "p"}
    for answer in (
        limited.ask("teammate", "POST", f"{PROFILES}/p/resolve?registry=team", {}),
        limited.ask("teammate", "POST", "/chat", turn),
    ):
        assert (answer.status, answer.json["code"]) == (409, "stack_broken")
        assert 'registry not found: "other"' in answer.json["detail"]


def test_a_limited_token_hears_that_others_build_on_a_profile_and_not_who(limited):
    into = {"runtime": {"extends": [{"registry": "team", "slug": "p"}]}}
    assert limited.ask("admin", "PATCH", f"{PROFILES}/p?registry=other", into).status == 200
    answer = limited.ask("teammate", "DELETE", f"{PROFILES}/p?registry=team")
    assert answer.status == 409
    assert answer.json["dependents"] == [{"kind": "profile", "name": "in a registry that is not yours"}]
    assert "other" not in answer.json["detail"]
