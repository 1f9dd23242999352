"""`pinocchio profiles plan | apply | import` beside a server: exit codes, what is said, and what is served then."""

import json

import pytest

PROFILES = "/api/chat/profiles"
TEAM = """\
slug: team
default_profile_slug: a
profiles:
  a:
    runtime:
      system_prompt: |
        one
        two
"""


@pytest.fixture(scope="module")
def server(serving, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("apply")
    with serving(cwd) as running:
        yield cwd, running


@pytest.fixture
def profiles(run, server, tmp_path):
    """Run `pinocchio profiles …` on the server's database; returns what it prints, both ways."""

    def run_command(exit_code, *arguments):
        where = {"PINOCCHIO_PROFILE_REGISTRY_DB": str(server[0] / "data/profiles.db")}
        ran = run(tmp_path, "profiles", *arguments, **where)
        assert ran.returncode == exit_code, ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stdout, ran.stderr

    return run_command


def test_plan_and_apply_tell_programs_by_exit_code_and_people_by_a_diff(profiles, server, tmp_path):
    path = tmp_path / "team.yaml"
    path.write_text(TEAM)
    assert "1 to create" not in profiles(2, "plan", path)[0]
    assert profiles(2, "plan", path)[0].endswith("2 to create, 0 to change, 0 to delete, 0 unchanged\n")
    out, _ = profiles(0, "apply", path, "--confirm", "--reason", "begin")
    assert out.endswith("applied\n")
    served = server[1].request("GET", f"{PROFILES}/a?registry=team").json
    assert served["runtime"]["system_prompt"] == "one\ntwo\n"
    assert served["metadata"]["created_by"].startswith("cli:")
    assert profiles(0, "plan", path)[0] == "nothing to do, 1 unchanged\n"

    path.write_text(TEAM.replace("two", "three"))
    out, _ = profiles(2, "plan", path)
    assert "~ change profile team/a v1" in out
    assert "-two" in out
    assert "+three" in out
    document = json.loads(profiles(2, "plan", path, "--json")[0])
    assert document["steps"][0]["patch"] == [
        {"op": "replace", "path": "/runtime/system_prompt", "value": "one\nthree\n"}
    ]


def test_nothing_is_applied_where_nobody_could_confirm(profiles, server, tmp_path):
    (tmp_path / "alone.yaml").write_text(TEAM.replace("team", "alone"))

    assert "--confirm" in profiles(2, "apply", tmp_path / "alone.yaml")[1]
    assert server[1].request("GET", "/api/chat/registries/alone").status == 404


def test_problems_end_with_1_and_are_json_where_that_is_asked_for(profiles, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("slug: team\nprofiles:\n  a: {descripton: x}\n")

    assert f"{path}:3: profiles.a.descripton: unknown field" in profiles(1, "plan", path)[1]
    (problem,) = json.loads(profiles(1, "apply", path, "--confirm", "--json")[0])["problems"]
    assert (problem["file"], problem["line"], problem["path"]) == (str(path), 3, "profiles.a.descripton")


def test_what_json_export_writes_can_be_imported(profiles, server, run, serving, tmp_path):
    profiles(0, "export", "--output", tmp_path / "all.json")
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as other:
        where = {"PINOCCHIO_PROFILE_REGISTRY_DB": str(tmp_path / "other/data/profiles.db")}
        ran = run(tmp_path, "profiles", "import", tmp_path / "all.json", "--confirm", **where)
        assert ran.returncode == 0, ran.stderr
        listed = [one.request("GET", "/api/chat/registries").json for one in (server[1], other)]

    names = [{(each["slug"], each["profile_count"]) for each in registries} for registries in listed]
    assert names[0] == names[1]


def test_database_that_is_not_there_is_not_made(run, tmp_path):
    (tmp_path / "team.yaml").write_text(TEAM)
    ran = run(tmp_path, "profiles", "apply", "team.yaml", "--confirm", "--profile-registry-db", "typo.db")

    assert ran.returncode == 1
    assert "there is no database" in ran.stderr
    assert not (tmp_path / "typo.db").exists()


def test_a_profile_whose_tool_reads_a_database_is_applied_where_the_operator_allows_it(run, server, tmp_path):
    middleware = {"name": "sqlite", "config": {"dsn": str(tmp_path / "root/x.db")}}
    path = tmp_path / "tools.json"
    path.write_text(json.dumps({"slug": "tools", "profiles": {"a": {"runtime": {"middlewares": [middleware]}}}}))
    (tmp_path / "root").mkdir()
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": str(server[0] / "data/profiles.db")}
    arguments = (tmp_path, "profiles", "apply", path, "--confirm")
    refused = run(*arguments, **where)
    assert refused.returncode == 1
    assert "--sqlite-tool-root or PINOCCHIO_SQLITE_TOOL_ROOT" in refused.stderr
    applied = run(*arguments, **where, PINOCCHIO_SQLITE_TOOL_ROOT=str(tmp_path / "root"))
    assert applied.returncode == 0, applied.stderr
    served = server[1].request("GET", f"{PROFILES}/a?registry=tools").json
    assert served["runtime"]["middlewares"][0]["name"] == "sqlite"


def test_plugins_are_told_of_the_database_before_they_are_asked_about_files(run, server, distribution, tmp_path):
    site = distribution(
        tmp_path / "site",
        "acme_told",
        """
import pathlib
from pinocchio_core.plugin import Problem, hookimpl

told = []

@hookimpl
def pinocchio_startup(info):
    told.append(info)

@hookimpl
def pinocchio_validate_profile(profile):
    names = [(info.database_path.name, info.conversations_path.name) for info in told]
    yield Problem(field="slug", reason=f"asked with {names}")
""",
    )
    path = tmp_path / "team.yaml"
    path.write_text(TEAM.replace("team", "told"))
    where = {"PINOCCHIO_PROFILE_REGISTRY_DB": str(server[0] / "data/profiles.db"), "PYTHONPATH": str(site)}
    ran = run(tmp_path, "profiles", "plan", path, **where)
    assert ran.returncode == 1
    assert "asked with [('profiles.db', 'profiles.turns.db')]" in ran.stdout + ran.stderr
