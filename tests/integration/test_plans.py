"""Plans and their application: files against a real store, all of it or nothing."""

import pytest

from pinocchio_core.errors import FilesRefused, PlanOutdated
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.applying import Applying
from pinocchio_core.service.files.filed import FiledRegistries
from pinocchio_core.service.files.plans import Planner

PROFILES = "/api/chat/profiles"


class Files:
    """A file with a registry, and what it comes to against an app's database."""

    def __init__(self, app, path):
        self.app, self.path = app, path

    def plan(self, text=None, *, prune=False):
        if text is not None:
            self.path.write_text(text)
        program = self.app.program
        validation = Validation(program.host)
        return Planner(program.store, validation).plan(FiledRegistries(validation).read([self.path]), prune=prune)

    def apply(self, text=None, *, prune=False, reason=None):
        plan = self.plan(text, prune=prune)
        Applying(self.app.program.store, self.app.program.host, actor="cli:me", reason=reason).apply(plan)
        return told(plan)

    def refused(self, text, *, prune=False):
        with pytest.raises(FilesRefused) as error:
            self.plan(text, prune=prune)
        return [str(problem).removeprefix(f"{self.path}") for problem in error.value.problems]


def told(plan):
    return [(step.op, step.name) for step in plan.steps]


@pytest.fixture
def files(app, tmp_path):
    return Files(app, tmp_path / "team.yaml")


TEAM = """\
slug: team
display_name: Team
default_profile_slug: agent
profiles:
  agent:
    description: Careful
    runtime: {system_prompt: "Be careful.", middlewares: [{name: agentmode, config: {default_mode: financial_analyst}}]}
    metadata: {tags: [a]}
    extensions: {acme.x@v1: {i: 1, f: 1.0, s: "1", n: null, on: on, d: 2026-01-01}}
  other: {}
"""


def test_new_registry_comes_with_its_profiles_default_and_authors(app, files, revisions):
    assert files.apply(TEAM, reason="first") == [
        ("create", "team"),
        ("create", "team/agent"),
        ("create", "team/other"),
    ]

    agent = app.get(f"{PROFILES}/agent?registry=team").json
    assert agent["is_default"] is True
    assert (agent["metadata"]["created_by"], agent["metadata"]["source"]) == ("cli:me", str(files.path))
    assert agent["metadata"]["tags"] == ["a"]
    instances = agent["extensions"]["middleware.agentmode_config@v1"]["instances"]
    assert instances == {"default": {"default_mode": "financial_analyst"}}
    sql = "SELECT DISTINCT reason FROM profile_revisions WHERE registry_slug = 'team'"
    assert app.program.store.database.rows(sql) == [("first",)]


def test_values_come_through_exactly(app, files):
    files.apply(TEAM)

    exact = b'"acme.x@v1":{"i":1,"f":1.0,"s":"1","n":null,"on":"on","d":"2026-01-01"}'
    assert exact in app.program.store.profiles.read("team", "agent").payload


def test_what_is_applied_is_nothing_to_do_afterwards(files, nothing_written):
    files.apply(TEAM)

    with nothing_written(files.app):
        assert files.apply() == []
    assert files.plan().unchanged == 2


def test_change_has_a_patch_of_what_people_wrote_alone(files):
    files.apply(TEAM)
    (step,) = files.plan(TEAM.replace("description: Careful", "description: Quick")).steps

    assert (step.op, step.version) == ("change", 1)
    assert step.patch() == [{"op": "replace", "path": "/description", "value": "Quick"}]


def test_type_of_a_number_is_a_change(files):
    files.apply(TEAM)
    (step,) = files.plan(TEAM.replace("f: 1.0", "f: 1")).steps

    assert step.patch() == [{"op": "replace", "path": "/extensions/acme.x@v1/f", "value": 1}]


def test_change_is_the_next_version_and_keeps_who_made_the_first(app, files, revisions):
    app.post("/api/chat/registries", {"slug": "team"})
    made = app.post(f"{PROFILES}?registry=team", {"slug": "agent"}).json["metadata"]
    files.apply(TEAM)

    metadata = app.get(f"{PROFILES}/agent?registry=team").json["metadata"]
    assert (metadata["version"], metadata["updated_by"]) == (2, "cli:me")
    assert (metadata["created_by"], metadata["created_at_ms"]) == (made["created_by"], made["created_at_ms"])
    assert [version for version, _ in revisions(app, "agent", "team")] == [1, 2]


def test_only_prune_deletes_and_only_in_registries_that_are_named(app, files):
    files.apply(TEAM)
    app.post(f"{PROFILES}?registry=team", {"slug": "extra"})

    assert told(files.plan()) == []
    assert files.apply(prune=True) == [("delete", "team/extra")]
    assert app.get(f"{PROFILES}/agent").status == 200


def test_registry_keeps_what_its_file_does_not_say(app, files):
    files.apply(TEAM)
    files.apply(TEAM.replace("display_name: Team\n", "description: Ours\n"))

    registry = app.get("/api/chat/registries/team").json
    assert (registry["display_name"], registry["description"]) == ("Team", "Ours")


def test_default_moves_before_the_old_one_is_deleted(app, files):
    files.apply(TEAM)
    rest = "slug: team\ndefault_profile_slug: other\nprofiles: {other: {}}\n"

    assert files.apply(rest, prune=True) == [("change", "team"), ("delete", "team/agent")]
    assert app.get("/api/chat/registries/team").json["default_profile_slug"] == "other"


def test_default_must_be_there_afterwards(files, nothing_written):
    with nothing_written(files.app):
        assert files.refused("slug: team\ndefault_profile_slug: gone\nprofiles: {a: {}}\n") == [
            ':2: default_profile_slug: there will be no profile "gone"'
        ]
    files.apply(TEAM)
    (told,) = files.refused("slug: team\nprofiles: {other: {}}\n", prune=True)
    assert '"agent", would be deleted' in told


def test_read_only_profile_is_only_unlocked(app, files):
    locked = "slug: team\nprofiles:\n  a: {description: x, policy: {read_only: true}}\n"
    files.apply(locked)

    assert ":3: profiles.a: is read-only as it is stored" in files.refused(locked.replace(": x", ": y"))[0]
    assert "which is read-only" in files.refused("slug: team\nprofiles: {}\n", prune=True)[0]
    assert files.apply(locked.replace("true", "false")) == [("change", "team/a")]
    assert files.apply("slug: team\nprofiles: {}\n", prune=True) == [("delete", "team/a")]


def test_change_between_plan_and_application_writes_nothing_and_says_who(app, files, nothing_written):
    files.apply(TEAM)
    changed = TEAM.replace("Careful", "Quick").replace("other: {}", "other: {description: new}")
    plan = files.plan(changed)
    app.patch(f"{PROFILES}/other?registry=team", {"description": "theirs"})
    who = app.get(f"{PROFILES}/other?registry=team").json["metadata"]["updated_by"]

    with nothing_written(app), pytest.raises(PlanOutdated) as refused:
        Applying(app.program.store, app.program.host, actor="cli:me").apply(plan)
    assert refused.value.outdated == (f'profile "other" in registry "team" is at version 2 now, written by "{who}"',)


@pytest.mark.parametrize("act", ["delete", "create", "registry"])
def test_everything_that_the_plan_saw_is_guarded(app, files, act):
    files.apply(TEAM)
    text = TEAM.replace("Careful", "Quick").replace("display_name: Team", "display_name: New") + "  third: {}\n"
    plan = files.plan(text)
    if act == "delete":
        app.post(f"{PROFILES}/other/default?registry=team", {})
        app.delete(f"{PROFILES}/agent?registry=team")
    elif act == "create":
        app.post(f"{PROFILES}?registry=team", {"slug": "third"})
    else:
        app.patch("/api/chat/registries/team", {"display_name": "Theirs"})

    with pytest.raises(PlanOutdated):
        Applying(app.program.store, app.program.host, actor="cli:me").apply(plan)


def test_other_profiles_of_the_registry_may_change_meanwhile(app, files):
    files.apply(TEAM)
    plan = files.plan(TEAM.replace("Careful", "Quick"))
    app.patch(f"{PROFILES}/other?registry=team", {"description": "theirs"})
    Applying(app.program.store, app.program.host, actor="cli:me").apply(plan)

    assert app.get(f"{PROFILES}/agent?registry=team").json["description"] == "Quick"


def test_what_a_request_would_be_refused_for_is_a_problem_of_the_file(files, nothing_written):
    with nothing_written(files.app):
        (told,) = files.refused(TEAM.replace("default_mode: financial_analyst", "default_mode: 5"))
    assert told.startswith(":7: profiles.agent.runtime.middlewares[0].config: ")
