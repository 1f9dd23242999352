"""Profiles that build on others, over HTTP: what they come to, and what is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pinocchio_core.domain import limits
from pinocchio_core.plugin import ExtensionSchema, MiddlewareDefinition, Problem, hookimpl
from pinocchio_core.testing import make_app
from pinocchio_plugins import echo, starter_profile

PROFILES = "/api/chat/profiles"
BATCH = "/api/chat/batch"
REGISTRIES = "/api/chat/registries"


class Tone:
    """A middleware whose config needs two properties, and a check that a test can listen to."""

    def __init__(self):
        self.meanwhile = None
        self.asked = []

    @hookimpl
    def pinocchio_middleware_definitions(self):
        schema = {
            "type": "object",
            "required": ["voice", "speed"],
            "properties": {"voice": {"type": "string"}, "speed": {"type": "integer", "maximum": 10}},
            "additionalProperties": False,
        }
        return [MiddlewareDefinition("tone", config_schema=schema, build=lambda _: lambda turn, handler: handler(turn))]

    @hookimpl
    def pinocchio_extension_schemas(self):
        return [ExtensionSchema("acme.badge@v1", {"type": "object"})]

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        self.asked.append((profile.slug, profile.runtime.system_prompt))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        if profile.runtime.system_prompt == "forbidden":
            yield Problem(field="runtime.system_prompt", reason="is forbidden")


@pytest.fixture
def tone():
    return Tone()


@pytest.fixture
def app(tone):
    with make_app(tone, echo, starter_profile) as made:
        for slug in ("one", "two", "three"):
            assert made.post(REGISTRIES, {"slug": slug}).status == 201
        yield made


def base(slug, registry=None, **pin):
    return {"slug": slug, **({"registry": registry} if registry else {}), **pin}


def make(app, slug, *bases, registry="one", status=201, config=None, **runtime):
    document = {"slug": slug, "registry": registry, "runtime": runtime}
    if bases:
        runtime["extends"] = [base(each) if isinstance(each, str) else each for each in bases]
    if config is not None:
        runtime["middlewares"] = [{"name": "tone", "config": config}]
    answer = app.post(PROFILES, document)
    assert answer.status == status, answer.body
    return answer


def patch(app, slug, registry="one", **fields):
    return app.patch(f"{PROFILES}/{slug}?registry={registry}", fields)


def resolve(app, slug, registry="one", **sent):
    return app.post(f"{PROFILES}/{slug}/resolve?registry={registry}", sent)


def config_of(app, slug, registry="one"):
    return resolve(app, slug, registry).json["runtime"]["middlewares"][0]["config"]


@pytest.fixture
def stack(app):
    """`two/voice` gives one property, `one/leaf` the other one."""
    make(app, "voice", registry="two", system_prompt="Speak.", config={"voice": "calm", "speed": 1})
    make(app, "leaf", base("voice", "two"), config={"speed": 2})
    return app


def test_a_profile_comes_to_what_it_builds_on_with_itself_over_that(stack):
    runtime = resolve(stack, "leaf").json["runtime"]
    assert runtime["system_prompt"] == "Speak."
    assert runtime["middlewares"] == [{"name": "tone", "enabled": True, "config": {"voice": "calm", "speed": 2}}]


def test_what_is_stored_is_what_was_sent_in_its_canonical_form(app):
    make(app, "b", registry="two")
    sent = {"slug": " B ", "registry": "TWO", "label": None, "version": 1}
    document = make(app, "leaf", sent, system_prompt="", tools=[]).json
    runtime = {"system_prompt": "", "tools": [], "extends": [{"registry": "two", "slug": "b", "version": 1}]}
    assert document["runtime"] == runtime
    assert patch(app, "leaf", runtime={"extends": [], "system_prompt": ""}).json["runtime"] == {}


def test_empty_text_and_an_empty_list_take_away_what_the_base_has(app):
    make(app, "b", system_prompt="Speak.")
    make(app, "leaf", "b", system_prompt="")
    assert resolve(app, "leaf").json["runtime"]["system_prompt"] == ""


def test_later_bases_go_over_earlier_ones_and_each_is_there_once(app):
    make(app, "root", system_prompt="root", step_settings_patch={"s": {"a": "root", "b": "root", "c": "root"}})
    make(app, "left", "root", step_settings_patch={"s": {"a": "left", "b": "left"}})
    make(app, "right", "root", step_settings_patch={"s": {"a": "right"}})
    make(app, "leaf", "left", "right")
    assert resolve(app, "leaf").json["runtime"]["step_settings_patch"] == {
        "s": {"a": "right", "b": "left", "c": "root"}
    }


def test_explain_shows_every_profile_as_a_layer(stack):
    values = {each["pointer"]: each for each in resolve(stack, "leaf", explain=True).json["explain"]["values"]}
    extension = "extensions middleware.tone_config@v1, default"
    assert values["/middlewares/0/config/speed"]["layers"] == [
        {"source": "profile", "where": f"two/voice@1, {extension}", "value": 1},
        {"source": "profile", "where": f"one/leaf@1, {extension}", "value": 2},
    ]
    assert values["/system_prompt"]["layers"] == [
        {"source": "profile", "where": "two/voice@1, runtime.system_prompt", "value": "Speak."}
    ]


def test_fingerprints_cover_every_version_of_the_stack_and_are_the_same_everywhere(app):
    make(app, "b", system_prompt="Speak.")
    make(app, "leaf", "b")
    before = resolve(app, "leaf").json["runtime_fingerprint"]
    assert before == "sha256:47b8a430167ac1fb45b17726004949fc9a2fce5fd070c09513a3cdf6d3d8e64f"
    patch(app, "b", description="no part of what it comes to")
    assert resolve(app, "leaf").json["runtime_fingerprint"] != before


def test_what_is_kept_of_a_profile_is_never_that_of_an_older_stack(stack):
    assert config_of(stack, "leaf")["voice"] == "calm"
    patch(
        stack,
        "voice",
        "two",
        extensions={"middleware.tone_config@v1": {"instances": {"default": {"voice": "loud", "speed": 1}}}},
    )
    assert config_of(stack, "leaf")["voice"] == "loud"


def test_a_pinned_base_stays_what_it_was(app):
    make(app, "b", system_prompt="one")
    make(app, "pinned", base("b", version=1))
    make(app, "newest", "b")
    assert patch(app, "b", runtime={"system_prompt": "two"}).status == 200
    prompts = [resolve(app, slug).json["runtime"]["system_prompt"] for slug in ("pinned", "newest")]
    assert prompts == ["one", "two"]


def test_a_chat_runs_with_the_stack_and_the_policy_of_all(app):
    make(app, "b", system_prompt="Speak.")
    make(app, "leaf", "b")
    patch(app, "leaf", policy={"allow_overrides": True})
    turn = {"prompt": "hello", "registry": "one"}
    answer = app.post("/chat/leaf", turn)
    assert answer.status == 200
    assert answer.json["profile_version"] == 2
    refused = app.post("/chat/leaf", {**turn, "overrides": {"system_prompt": "x"}})
    assert (refused.status, refused.json["detail"].partition(": ")[2]) == (
        400,
        "profile does not allow engine overrides",
    )


@pytest.mark.parametrize(
    ("sent", "field", "reason"),
    [
        (base("b", "none"), "registry", 'registry not found: "none"'),
        (base("none"), "slug", 'profile not found: "none" in registry "one"'),
        (base("b", version=9), "version", 'revision not found: "b@9" in registry "one"'),
        (base("b", label="production"), "label", 'revision not found: "b@production" in registry "one"'),
    ],
)
def test_references_that_lead_nowhere_are_named(app, expect_problem, nothing_written, sent, field, reason):
    make(app, "b")
    with nothing_written(app):
        answer = make(app, "leaf", "b", {**sent}, status=400)
    expected = f"runtime.extends[1].{field}"
    if sent["slug"] == "b" and "registry" not in sent:  # which is named twice, and that is said first
        expected, reason = "runtime.extends[1].slug", "is the same profile as in runtime.extends[0]"
    problem = expect_problem(answer, 400, "validation error", expected)
    assert problem["errors"][0]["reason"] == reason


@pytest.mark.parametrize(
    ("extends", "field"),
    [
        ([{"slug": "b"}] * 17, "runtime.extends"),
        ([{"slug": "b", "version": 1, "label": "x"}], "runtime.extends[0].label"),
        ([{"slug": "b", "version": 0}], "runtime.extends[0].version"),
        ([{"slug": "b", "label": "7"}], "runtime.extends[0].label"),
        ([{"slug": "b@7"}], "runtime.extends[0].slug"),
        ([{}], "runtime.extends[0].slug"),
        ([{"slug": "b", "registry": "?"}], "runtime.extends[0].registry"),
        ([{"slug": "b", "other": 1}], "runtime.extends[0].other"),
        (["b"], "runtime.extends[0]"),
    ],
)
def test_references_that_are_none_are_refused(app, nothing_written, extends, field):
    with nothing_written(app):
        answer = app.post(PROFILES, {"slug": "leaf", "registry": "one", "runtime": {"extends": extends}})
    assert answer.status == 400
    assert field in [each["field"] for each in answer.json["errors"]]


def test_a_circle_through_three_registries_is_told_as_a_way(app, expect_problem, nothing_written):
    make(app, "a", registry="one")
    make(app, "b", base("a", "one"), registry="two")
    make(app, "c", base("b", "two"), registry="three")
    with nothing_written(app):
        answer = patch(app, "a", "one", runtime={"extends": [base("c", "three")]})
    problem = expect_problem(answer, 400, "validation error", "runtime.extends[0]")
    assert problem["errors"][0]["reason"] == "goes round in a circle: one/a → three/c → two/b → one/a"


def test_a_profile_does_not_build_on_itself_but_may_on_a_version_of_itself(app, expect_problem):
    make(app, "a", system_prompt="first")
    answer = patch(app, "a", runtime={"extends": [base("a")]})
    problem = expect_problem(answer, 400, "validation error", "runtime.extends[0]")
    assert problem["errors"][0]["reason"] == "goes round in a circle: one/a → one/a"
    assert patch(app, "a", runtime={"extends": [base("a", version=1)]}).status == 200
    assert resolve(app, "a").json["runtime"]["system_prompt"] == "first"


def test_a_circle_through_a_version_is_found(app):
    make(app, "b")
    make(app, "a", "b")
    answer = patch(app, "b", runtime={"extends": [base("a", version=1)]})
    assert answer.json["errors"][0]["reason"] == "goes round in a circle: one/b → one/a@1 → one/b"


def test_as_many_profiles_build_on_one_another_as_may_and_no_more(app, expect_problem):
    make(app, "p1")
    for number in range(2, limits.MAX_STACK_DEPTH + 1):
        make(app, f"p{number}", f"p{number - 1}")
    answer = make(app, "p33", "p32", status=400)
    expect_problem(answer, 400, "validation error", "runtime.extends[0]")
    assert (
        "more than 32 profiles build on one another: one/p33 → one/p32 → one/p31 → one/p30 → … →"
        in answer.json["detail"]
    )
    make(app, "below")
    answer = patch(app, "p1", runtime={"extends": [base("below")]})
    assert (answer.status, answer.json["title"]) == (409, "in use")
    assert [each["name"] for each in answer.json["dependents"]] == ["one/p32"]


def test_a_stack_has_a_bound_on_all_its_profiles(app):
    rows = [[f"p{row}-{column}" for column in range(16)] for row in range(8)]
    for row, above in zip(rows, [[], *rows], strict=False):
        for slug in row:
            answer = app.post(
                PROFILES, {"slug": slug, "registry": "one", "runtime": {"extends": [base(each) for each in above]}}
            )
    assert answer.status == 400
    assert answer.json["errors"][0]["reason"] == "builds on 100 profiles or more in all"


class OnePrompt:
    """Has something against what says one thing in its description and another one in its prompt."""

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        if profile.description == "Writes." and profile.runtime.system_prompt == "Speak.":
            yield Problem(field="description", reason="is not what the prompt says")


def test_a_base_that_was_only_tried_is_not_held_against_a_change():
    with make_app(OnePrompt) as app:
        app.post(REGISTRIES, {"slug": "one"})
        make(app, "b", system_prompt="Speak.")
        make(app, "leaf")
        trial = app.patch(f"{PROFILES}/leaf?registry=one&dry_run=true", {"runtime": {"extends": [base("b")]}})
        assert trial.status == 200
        assert patch(app, "leaf", description="Writes.").status == 200


def test_what_all_come_to_must_be_valid(app, expect_problem, nothing_written):
    make(app, "b", config={"voice": "calm", "speed": 1})
    with nothing_written(app):
        answer = make(app, "leaf", "b", config={"speed": 11}, status=400)
        expect_problem(answer, 400, "validation error", "runtime.middlewares[0].config")
        alone = make(app, "leaf", config={"speed": 1}, status=400)
        expect_problem(alone, 400, "validation error", "runtime.middlewares[0].config")


def test_plugins_are_asked_about_what_all_come_to(app, tone):
    make(app, "b", system_prompt="Speak.")
    tone.asked.clear()
    make(app, "leaf", "b")
    assert tone.asked == [("leaf", "Speak.")]


def test_a_required_property_of_the_base_may_be_needed_after_a_patch_of_extensions_alone(stack):
    configs = {"middleware.tone_config@v1": {"instances": {"default": {"speed": 3}}}}
    assert patch(stack, "leaf", extensions=configs).status == 200
    assert config_of(stack, "leaf") == {"voice": "calm", "speed": 3}


# what builds on a profile


def voiceless(app):
    """A change of `two/voice` that leaves `one/leaf` without a voice."""
    return patch(app, "voice", "two", runtime={"system_prompt": "Speak."}, extensions={})


def test_a_change_that_breaks_what_builds_on_it_is_refused_and_names_it(stack, expect_problem, nothing_written):
    make(stack, "on-leaf", "leaf")
    with nothing_written(stack):
        answer = voiceless(stack)
    problem = expect_problem(answer, 409, "in use")
    assert [(each["kind"], each["registry"], each["slug"]) for each in problem["dependents"]] == [
        ("profile", "one", "leaf"),
        ("profile", "one", "on-leaf"),
    ]
    found = problem["dependents"][0]["problems"][0]
    assert found["field"] == "runtime.middlewares[0].config"
    assert "voice" in found["reason"]


def test_both_can_be_changed_in_one_batch_in_any_order(stack):
    writes = [
        {"op": "replace", "registry": "two", "slug": "voice", "document": {}},
        {"op": "patch", "registry": "one", "slug": "leaf", "document": {"runtime": {}, "extensions": {}}},
    ]
    assert stack.post(f"{BATCH}?dry_run=true", {"writes": writes[::-1]}).status == 200
    assert stack.post(BATCH, {"writes": writes}).status == 200


def test_leaf_and_base_can_be_made_in_one_batch_in_any_order(app):
    writes = [
        {"op": "create", "slug": "leaf", "document": {"runtime": {"extends": [base("b")]}}},
        {"op": "create", "slug": "b", "document": {"runtime": {"system_prompt": "Speak."}}},
    ]
    answer = app.post(BATCH, {"registry": "one", "writes": writes})
    assert answer.status == 200, answer.body
    assert resolve(app, "leaf").json["runtime"]["system_prompt"] == "Speak."


def test_a_circle_within_one_batch_is_refused_at_both_writes(app, nothing_written):
    make(app, "a")
    make(app, "b")
    writes = [
        {"op": "patch", "slug": one, "document": {"runtime": {"extends": [base(other)]}}}
        for one, other in (("a", "b"), ("b", "a"))
    ]
    with nothing_written(app):
        answer = app.post(BATCH, {"registry": "one", "writes": writes})
    assert answer.status == 400
    fields = [each["field"] for each in answer.json["errors"]]
    assert fields == [f"writes[{index}].document.runtime.extends[0]" for index in (0, 1)]


def test_what_was_broken_before_is_not_held_against_a_change(stack):
    stack.delete(f"{PROFILES}/voice?registry=two&force=true")
    make(stack, "voice", registry="two", system_prompt="Speak.")
    assert patch(stack, "voice", "two", runtime={"system_prompt": "Sing."}).status == 200
    changed = patch(stack, "leaf", description="still without a voice")
    assert changed.status == 200
    assert [each["field"] for each in changed.json["warnings"]] == ["runtime.middlewares[0].config"]


def test_a_pinned_dependant_is_untouched_by_changes_but_not_by_deletion(stack, expect_problem):
    patch(stack, "leaf", runtime={"extends": [base("voice", "two", version=1)], "middlewares": [{"name": "tone"}]})
    assert voiceless(stack).status == 200
    assert config_of(stack, "leaf")["voice"] == "calm"
    problem = expect_problem(stack.delete(f"{PROFILES}/voice?registry=two"), 409, "in use")
    assert problem["dependents"] == [{"kind": "profile", "name": "one/leaf", "registry": "one", "slug": "leaf"}]


def test_what_a_pinned_version_builds_on_is_followed_too(app):
    make(app, "root", config={"voice": "calm", "speed": 1})
    make(app, "mid", "root")
    make(app, "leaf", base("mid", version=1), config={"speed": 2})
    patch(app, "mid", runtime={})
    answer = patch(app, "root", runtime={}, extensions={})
    assert [each["name"] for each in answer.json["dependents"]] == ["one/leaf"]


def test_a_forced_deletion_leaves_what_builds_on_it_readable_invalid_and_unusable(stack, expect_problem):
    assert stack.delete(f"{PROFILES}/voice?registry=two&force=true").status == 204
    assert stack.get(f"{PROFILES}/leaf?registry=one").status == 200
    stack.program.health.scan()
    (item,) = stack.get(f"{PROFILES}?registry=one").json
    assert item["state"] == "invalid"
    gone = {"field": "runtime.extends[0].slug", "reason": 'profile not found: "voice" in registry "two"'}
    assert item["problems"] == [gone]
    problem = expect_problem(resolve(stack, "leaf"), 409, "stack broken", "runtime.extends[0].slug")
    assert problem["errors"] == [gone]
    chat = stack.post("/chat/leaf", {"prompt": "hello", "registry": "one"})
    assert (chat.status, chat.json["code"]) == (409, "stack_broken")


def label(app, version, slug="voice", registry="two"):
    return app.request("PUT", f"{PROFILES}/{slug}/labels/production?registry={registry}", {"version": version})


def test_a_label_is_not_moved_or_removed_where_that_breaks_what_builds_on_it(stack, expect_problem, nothing_written):
    assert label(stack, 1).status == 201
    patch(
        stack,
        "leaf",
        runtime={"extends": [base("voice", "two", label="production")], "middlewares": [{"name": "tone"}]},
    )
    assert voiceless(stack).status == 200
    with nothing_written(stack):
        problem = expect_problem(label(stack, 2), 409, "in use")
        assert [each["name"] for each in problem["dependents"]] == ["one/leaf"]
        removed = stack.delete(f"{PROFILES}/voice/labels/production?registry=two")
        expect_problem(removed, 409, "in use")
    patch(stack, "voice", "two", description="other")
    assert label(stack, 3).status == 409
    assert stack.request("POST", f"{PROFILES}/voice/revisions/1/restore?registry=two", {}).status == 200
    assert label(stack, 4).status == 200


def test_a_label_that_moved_is_followed_to_what_it_points_to_now(app):
    make(app, "root", config={"voice": "calm", "speed": 1})
    make(app, "mid", config={"voice": "calm", "speed": 1})
    patch(app, "mid", runtime={"extends": [base("root")]}, extensions={})
    label(app, 1, "mid", "one")
    make(app, "leaf", base("mid", label="production"), config={"speed": 2})
    patch(app, "mid", runtime={})
    assert label(app, 2, "mid", "one").status == 200
    answer = patch(app, "root", runtime={}, extensions={})
    assert [each["name"] for each in answer.json["dependents"]] == ["one/leaf"]


def test_a_profile_that_builds_on_its_own_label_is_not_broken_by_that(app, expect_problem, nothing_written):
    make(app, "a", system_prompt="first")
    label(app, 1, "a", "one")
    assert patch(app, "a", runtime={"extends": [base("a", label="production")]}).status == 200
    make(app, "leaf", "a")
    with nothing_written(app):
        moved = expect_problem(label(app, 2, "a", "one"), 409, "in use")
        removed = expect_problem(app.delete(f"{PROFILES}/a/labels/production?registry=one"), 409, "in use")
    assert [each["name"] for each in moved["dependents"]] == ["one/a", "one/leaf"]
    assert [each["name"] for each in removed["dependents"]] == ["one/a"]
    assert "goes round in a circle" in moved["dependents"][0]["problems"][0]["reason"]
    assert resolve(app, "leaf").json["runtime"]["system_prompt"] == "first"
    assert patch(app, "a", runtime={"system_prompt": "third"}).status == 200
    assert label(app, 3, "a", "one").status == 200
    assert app.delete(f"{PROFILES}/a/labels/production?registry=one").status == 204


def test_a_restore_is_checked_like_any_write(stack, expect_problem):
    make(stack, "other", registry="two")
    patch(stack, "other", "two", runtime={"extends": [base("leaf", "one")]})
    patch(stack, "other", "two", runtime={})
    patch(stack, "voice", "two", runtime={"extends": [base("other")], "middlewares": [{"name": "tone"}]})
    answer = stack.post(f"{PROFILES}/other/revisions/2/restore?registry=two", {})
    problem = expect_problem(answer, 400, "validation error", "runtime.extends[0]")
    assert problem["errors"][0]["reason"].startswith(
        "goes round in a circle: two/other → one/leaf → two/voice → two/other"
    )


# at the same time


def test_of_two_who_would_close_a_circle_from_both_sides_one_loses(app):
    for _ in range(10):
        for slug in "ab":
            app.request("PUT", f"{PROFILES}/{slug}?registry=one", {}) if _ else make(app, slug)
        start = threading.Barrier(2)

        def extend(one, other, start=start):
            start.wait()
            return patch(app, one, runtime={"extends": [base(other)]}).status

        with ThreadPoolExecutor(2) as pool:
            statuses = list(pool.map(extend, "ab", "ba"))
        assert sorted(statuses) == [200, 400]


def test_a_base_that_changes_while_a_leaf_is_checked_is_looked_at_again(app, tone):
    make(app, "b", config={"voice": "calm", "speed": 1})
    tone.meanwhile = lambda: patch(app, "b", runtime={}, extensions={})
    answer = make(app, "leaf", "b", config={"speed": 2}, status=400)
    assert answer.json["errors"][0]["field"] == "runtime.middlewares[0].config"


def test_a_leaf_that_comes_while_its_base_is_checked_is_not_broken(app, tone):
    make(app, "b", config={"voice": "calm", "speed": 1})
    tone.meanwhile = lambda: make(app, "leaf", "b", config={"speed": 2})
    answer = patch(app, "b", runtime={}, extensions={})
    assert [each["name"] for each in answer.json["dependents"]] == ["one/leaf"]


def test_a_base_that_is_deleted_while_a_leaf_is_checked_is_missed(app, tone):
    make(app, "b", system_prompt="Speak.")
    tone.meanwhile = lambda: app.delete(f"{PROFILES}/b?registry=one&force=true")
    answer = make(app, "leaf", "b", status=400)
    assert answer.json["errors"][0]["field"] == "runtime.extends[0].slug"
