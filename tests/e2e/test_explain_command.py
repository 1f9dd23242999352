"""`pinocchio profiles explain`, and what operators set for middlewares."""

import json

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def where(serving, tmp_path):
    """The variables of a database with the profiles that plugins bring."""
    with serving(tmp_path):
        pass
    return {"PINOCCHIO_PROFILE_REGISTRY_DB": tmp_path / "data/profiles.db"}


def test_each_value_is_printed_with_what_it_is_from_and_went_over(run, where, tmp_path):
    (tmp_path / "config.toml").write_text('[middlewares.agentmode]\ndefault_mode = "of the file"\n')
    options = ("--config", "config.toml", "--middleware-config", "agentmode#default.default_mode=of the option")
    done = run(tmp_path, "profiles", "explain", "agent", *options, "--override", "system_prompt=Hello", **where)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    start = lines.index('/middlewares/0/config/default_mode = "of the option"')
    assert [line.split()[:2] for line in lines[start + 1 : start + 5]] == [
        ["from", "flag"],
        ["over", "file"],
        ["over", "profile"],
        ["over", "schema"],
    ]
    assert '/system_prompt = "Hello"' in lines


def test_as_json_it_is_what_the_server_answers(run, serving, where, tmp_path):
    variables = where | {"PINOCCHIO_MW_AGENTMODE__DEFAULT_MODE": "of the variable"}
    overrides = ("--override", "step_settings_patch.ai-chat.ai-temperature=0.5")
    done = run(tmp_path, "profiles", "explain", "agent", "--json", *overrides, **variables)
    with serving(tmp_path, **variables) as server:
        sent = {"explain": True, "overrides": {"step_settings_patch": {"ai-chat": {"ai-temperature": 0.5}}}}
        assert json.loads(done.stdout) == server.request("POST", f"{PROFILES}/agent/resolve", sent).json


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nope",), 1, "nope"),
        (("agent", "--override", "x"), 2, "write KEY=VALUE"),
        (("agent", "--override", "tols=[]"), 1, "did you mean tools?"),
        (("agent", "--registry", "nope"), 1, "nope"),
        (("agent", "--middleware-config", "nope.x=1"), 2, "unknown middleware"),
        (("agent", "--config", "nope.toml"), 2, "nope.toml"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_message(run, where, tmp_path, arguments, code, said):
    done = run(tmp_path, "profiles", "explain", *arguments, **where)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr


def test_a_setting_that_cannot_be_meant_stops_the_start(run, tmp_path):
    done = run(tmp_path, "web-chat", PINOCCHIO_MW_AGENTMODE__DEFAULT_MOOD="x")
    assert (done.returncode, "has no default_mood" in done.stderr) == (2, True)
