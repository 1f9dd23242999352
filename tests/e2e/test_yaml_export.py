"""`pinocchio profiles export --format yaml`: what people review, and over what they have written."""

import pytest

PROFILES = "/api/chat/profiles"
EXACT = {
    "i": 1,
    "f": 1.0,
    "s": "1",
    "n": None,
    "b": True,
    "u": "ü😀\u2028",
    "d": "2026-01-01",
    "w": ["yes", "on", "no"],
}
FULL = {
    "slug": "analyst",
    "description": "Reads tables",
    "runtime": {
        "system_prompt": "Count twice.\nThen answer.\n",
        "middlewares": [{"name": "agentmode", "id": "main", "config": {"default_mode": "financial_analyst"}}],
        "step_settings_patch": {"ai-chat": {"ai-engine": "m-1"}},
    },
    "policy": {"allow_overrides": True, "read_only": False},
    "metadata": {"tags": ["finance"]},
    "extensions": {"acme.unknown@v3": EXACT},
}
YAML = """\
slug: team
profiles:
  analyst:
    description: Reads tables
    runtime:
      system_prompt: |
        Count twice.
        Then answer.
      middlewares:
        - name: agentmode
          id: main
      step_settings_patch:
        ai-chat:
          ai-engine: m-1
    policy:
      allow_overrides: true
      read_only: false
    metadata:
      tags:
        - finance
    extensions:
"""


@pytest.fixture
def team(run, serving, tmp_path):
    """A server with a registry, and the export of that."""
    with serving(tmp_path) as server:
        server.request("POST", "/api/chat/registries", {"slug": "team"})
        assert server.request("POST", f"{PROFILES}?registry=team", FULL).status == 201

        def export(*arguments, exit_code=0):
            options = ("--registry", "team", "--format", "yaml", "--profile-registry-db", "data/profiles.db")
            ran = run(tmp_path, "profiles", "export", *options, *arguments)
            assert ran.returncode == exit_code, ran.stderr
            return ran.stdout + ran.stderr

        yield server, export


def test_yaml_has_what_people_write_and_nothing_of_the_server(team):
    text = team[1]()

    assert text.startswith(YAML)
    assert "created_at_ms" not in text
    assert "version" not in text


def test_export_over_a_file_keeps_comments_and_order(team, tmp_path):
    server, export = team
    export("-o", "team.yaml")
    path = tmp_path / "team.yaml"
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("# ours\n" + path.read_text().replace("description:", "# for finance\n    description:"))
    path.chmod(0o644)
    before = path.read_text()
    export("-o", "team.yaml")
    assert path.read_text() == before

    server.request("PATCH", f"{PROFILES}/analyst?registry=team", {"description": "Reads ledgers"})
    export("-o", "team.yaml")
    assert path.read_text() == before.replace("Reads tables", "Reads ledgers")
    assert path.stat().st_mode & 0o777 == 0o644


def test_profile_that_is_the_same_keeps_the_form_it_was_written_in(team, tmp_path):
    inline = "slug: team\nprofiles: {other: {}, analyst: {runtime: {middlewares: [{name: agentmode, config: {}}]}}}\n"
    (tmp_path / "team.yaml").write_text(inline)
    server, export = team
    server.request("DELETE", f"{PROFILES}/analyst?registry=team")
    middlewares = [{"name": "agentmode", "config": {}}]
    server.request("POST", f"{PROFILES}?registry=team", {"slug": "analyst", "runtime": {"middlewares": middlewares}})
    export("-o", "team.yaml")

    assert (tmp_path / "team.yaml").read_text() == inline.replace("other: {}, ", "")


def test_folder_has_a_file_for_each_profile(team, tmp_path):
    server, export = team
    server.request("POST", f"{PROFILES}?registry=team", {"slug": "gone"})
    export("--layout", "folder", "-o", "team")
    names = ["_registry.yaml", "analyst.yaml", "gone.yaml"]
    assert sorted(path.name for path in (tmp_path / "team").iterdir()) == names
    server.request("DELETE", f"{PROFILES}/gone?registry=team")

    assert export("--layout", "folder", "-o", "team") == "removed team/gone.yaml\n"
    assert sorted(path.name for path in (tmp_path / "team").iterdir()) == names[:2]


def test_what_is_not_this_registry_is_never_written_over(team, tmp_path):
    _, export = team
    (tmp_path / "precious.yaml").write_text("precious: true\n")
    (tmp_path / "other.yaml").write_text("slug: other\nprofiles: {}\n")

    assert "precious.yaml" in export("-o", "precious.yaml", exit_code=1)
    assert 'holds other, and not the registry "team"' in export("-o", "other.yaml", exit_code=1)
    assert (tmp_path / "precious.yaml").read_text() == "precious: true\n"
    assert (tmp_path / "other.yaml").read_text() == "slug: other\nprofiles: {}\n"
