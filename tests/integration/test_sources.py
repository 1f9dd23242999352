"""Registries served from files beside the database: read as any, written by nobody, read again when they change."""

import os
import time

import pytest

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.errors import FilesRefused
from pinocchio_core.host.discovery import given_plugins
from pinocchio_core.host.host import Host
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.testing import TestApp

PROFILES = "/api/chat/profiles"
TEAM = """\
slug: team
display_name: Team
default_profile_slug: agent
profiles:
  agent:
    description: Careful
    runtime: {system_prompt: "Be careful.", tools: [calculator]}
    metadata: {tags: [x]}
    extensions: {acme.x@v1: {f: 1.50}}
  other: {}
"""


class Served:
    """An app that serves files, and these."""

    def __init__(self, program, path):
        self.app, self.program, self.path = TestApp(program), program, path

    def look_until(self, condition):
        """Let the server look at its files until something holds; a change counts when it is a moment old."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            self.program.sources.look()

    def etag(self):
        return self.app.get(f"{PROFILES}?registry=team").headers["etag"]

    def settle(self, text):
        """Change the file, and let the server look until it serves something else."""
        before = self.etag()
        self.path.write_text(text)
        self.look_until(lambda: self.etag() != before)


@pytest.fixture
def opened(shipped, tmp_path):
    """Start apps over one database that serve what they are given; stopped at the end."""
    programs = []

    def start(*paths, default_registry="default"):
        host = Host(given_plugins(shipped))
        program = assemble(
            host,
            dsn_of_path(str(tmp_path / "profiles.db")),
            default_registry=default_registry,
            more=More(sources=[tmp_path / path for path in paths]),
        )
        programs.append(program)
        return Served(program, tmp_path / paths[0])

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def served(opened, tmp_path):
    (tmp_path / "team.yaml").write_text(TEAM)
    return opened("team.yaml")


def test_everything_that_reads_knows_the_registry(served):
    app, file = served.app, str(served.path)

    agent = app.get(f"{PROFILES}/agent?registry=team").json
    assert (agent["description"], agent["is_default"], agent["metadata"]["source"]) == ("Careful", True, file)
    listed = app.get(f"{PROFILES}?registry=team").json
    assert [(item["slug"], item["source"]) for item in listed] == [("agent", file), ("other", file)]
    assert app.get(f"{PROFILES}?registry=team&tag=x").json == listed[:1]
    assert b'"acme.x@v1":{"f":1.50}' in app.get(f"{PROFILES}?registry=team").body
    registries = {each["slug"]: each for each in app.get("/api/chat/registries").json}
    assert (registries["team"]["profile_count"], registries["team"]["metadata"]["source"]) == (2, file)
    assert "default" in registries
    resolved = app.post(f"{PROFILES}/agent/resolve?registry=team", {})
    assert resolved.json["runtime"]["system_prompt"] == "Be careful."
    chat = app.post("/chat", {"prompt": "hello", "registry": "team"})
    assert (chat.status, chat.json["profile"]) == (200, "agent")
    assert "source" not in app.get(PROFILES).json[0]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{PROFILES}?registry=team", {"slug": "new"}),
        ("POST", f"{PROFILES}?registry=team", {"slug": "agent"}),
        ("PATCH", f"{PROFILES}/agent?registry=team", {"description": "x"}),
        ("PATCH", f"{PROFILES}/agent?registry=team", {}),
        ("PUT", f"{PROFILES}/agent?registry=team", {}),
        ("DELETE", f"{PROFILES}/agent?registry=team", None),
        ("POST", f"{PROFILES}/other/default?registry=team", {}),
        ("POST", "/api/chat/registries", {"slug": "team"}),
        ("PATCH", "/api/chat/registries/team", {"display_name": "x"}),
        ("DELETE", "/api/chat/registries/team", None),
    ],
)
def test_every_write_is_refused_with_the_file_to_edit(served, expect_problem, nothing_written, method, path, body):
    with nothing_written(served.app):
        problem = expect_problem(served.app.request(method, path, body), 403, "policy violation")
    assert problem["code"] == "source_read_only"
    assert str(served.path) in problem["detail"]
    assert problem["next_step"].startswith(f"edit {served.path}")


def test_the_present_version_is_all_of_the_history_and_can_be_named_and_not_labelled(
    served, expect_problem, nothing_written
):
    one = f"{PROFILES}/agent"
    now = served.app.get(f"{one}?registry=team")
    version = now.json["metadata"]["version"]
    (revision,) = served.app.get(f"{one}/revisions?registry=team").json
    assert revision["version"] == version
    assert served.app.get(f"{one}@{version}?registry=team").json == now.json
    with nothing_written(served.app):
        for method, path, body, *fields in (
            ("PUT", f"{one}/labels/production?registry=team", {"version": version}),
            ("POST", f"{one}/revisions/{version}/restore?registry=team", {}),
            (
                "POST",
                "/api/chat/batch",
                {"writes": [{"op": "delete", "slug": "agent", "registry": "team"}]},
                "writes[0]",
            ),
        ):
            problem = expect_problem(served.app.request(method, path, body), 403, "policy violation", *fields)
            assert str(served.path) in problem["detail"]


def test_what_is_wrong_with_a_write_or_not_there_is_said_first(served, expect_problem):
    expect_problem(served.app.patch(f"{PROFILES}/agent?registry=team", {"x": 1}), 400, "validation error", "x")
    expect_problem(served.app.patch(f"{PROFILES}/gone?registry=team", {}), 404, "profile not found")


def test_change_is_served_with_other_versions_and_tags(served):
    def seen():
        profile = served.app.get(f"{PROFILES}/agent?registry=team")
        registry = served.app.get("/api/chat/registries/team")
        resolved = served.app.post(f"{PROFILES}/agent/resolve?registry=team", {}).json
        return (
            (profile.json["metadata"]["version"], registry.json["metadata"]["version"]),
            (profile.headers["etag"], registry.headers["etag"], resolved["runtime_fingerprint"]),
        )

    before = seen()
    served.settle(TEAM.replace("Be careful", "Be quick"))
    after = seen()

    assert all(new > old for old, new in zip(before[0], after[0], strict=True))
    assert all(new != old for old, new in zip(before[1], after[1], strict=True))


def test_pages_asked_for_again_and_again_follow_the_file(served):
    def page():
        return {served.app.get(f"{PROFILES}?registry=team&limit=2").body for _ in range(4)}

    (before,) = page()
    served.settle(TEAM.replace("Careful", "Bold"))
    (after,) = page()
    assert (b"Careful" in before, b"Bold" in before) == (True, False)
    assert (b"Careful" in after, b"Bold" in after) == (False, True)


def test_processes_agree_on_versions(served, opened):
    other = opened("team.yaml")

    for path in (f"{PROFILES}/agent?registry=team", f"{PROFILES}?registry=team", "/api/chat/registries/team"):
        assert served.app.get(path).headers["etag"] == other.app.get(path).headers["etag"]


def test_content_that_cannot_be_served_leaves_the_old_and_is_named(served):
    before = served.app.get(f"{PROFILES}?registry=team").body
    served.path.write_text("slug: team\nprofiles: {agent: {descripton: x}}\n")
    served.look_until(served.program.sources.reasons)

    ready = served.app.get("/readyz")
    assert (ready.status, ready.json["status"]) == (200, "degraded")
    (reason,) = ready.json["reasons"]
    assert f'{served.path}:2: profiles.agent.descripton: unknown field; did you mean "description"?' in reason
    assert served.app.get(f"{PROFILES}?registry=team").body == before

    served.settle(TEAM.replace("Careful", "Well again"))
    assert served.app.get("/readyz").json == {"status": "ok", "reasons": []}


def test_file_that_goes_away_is_served_as_it_was(served):
    served.path.unlink()
    served.program.sources.look()

    assert served.app.get(f"{PROFILES}/agent?registry=team").status == 200
    assert "No such file" in served.app.get("/readyz").json["reasons"][0]


def test_folder_is_served_and_profiles_come_and_go_with_their_files(opened, tmp_path):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "_registry.yaml").write_text("slug: team\n")
    (folder / "a.yaml").write_text("description: A\n")
    served = opened("team")
    served.path = folder / "b.yaml"
    served.settle("description: B\n")
    listed = served.app.get(f"{PROFILES}?registry=team").json
    assert [(item["slug"], item["source"]) for item in listed] == [
        ("a", str(folder / "a.yaml")),
        ("b", str(folder / "b.yaml")),
    ]
    before = served.etag()
    (folder / "a.yaml").unlink()
    served.look_until(lambda: served.etag() != before)
    assert [item["slug"] for item in served.app.get(f"{PROFILES}?registry=team").json] == ["b"]


def test_registry_in_two_places_stops_the_start_naming_both(opened, tmp_path):
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "again.yaml").write_text(TEAM)
    (tmp_path / "default.yaml").write_text("slug: default\nprofiles: {}\n")
    opened("team.yaml")

    with pytest.raises(FilesRefused, match=r'again.yaml:1: slug: the registry "team" is in .*team.yaml too'):
        opened("team.yaml", "again.yaml")
    with pytest.raises(FilesRefused, match=r'default.yaml:1: slug: the database has a registry "default" too'):
        opened("default.yaml")


def test_registry_that_appears_in_the_database_later_is_named(served, opened, tmp_path):
    (tmp_path / "own.yaml").write_text("slug: own\nprofiles: {}\n")
    other = opened("own.yaml")
    assert other.app.post("/api/chat/registries", {"slug": "team"}).status == 201
    served.program.sources.look()

    (reason,) = served.app.get("/readyz").json["reasons"]
    assert reason == f'the registry "team" is in the database too, and served from {served.path}'
    assert served.app.get(f"{PROFILES}/agent?registry=team").status == 200


def test_default_registry_may_be_served_from_files(opened, tmp_path):
    (tmp_path / "main.yaml").write_text(TEAM.replace("slug: team", "slug: main"))
    served = opened("main.yaml", default_registry="main")

    assert [item["slug"] for item in served.app.get(PROFILES).json] == ["agent", "other"]
    assert served.app.get("/api/chat/profile").json == {"slug": "agent", "registry": "main"}
    assert [each["slug"] for each in served.app.get("/api/chat/registries").json] == ["main"]


def test_what_is_no_file_stops_the_start(opened, tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(FilesRefused, match="not a regular file"):
        opened("pipe.yaml")
    with pytest.raises(FilesRefused, match="No such file"):
        opened("missing.yaml")
