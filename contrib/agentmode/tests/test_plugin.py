"""What the plugin declares."""

import logging
from typing import Any

import pytest

import pinocchio_agentmode
from pinocchio_agentmode.definition import definition
from pinocchio_agentmode.modes import KEY, Mode, StaticModes
from pinocchio_core.plugin import Block, BlockKind, ToolDefinition, Turn
from pinocchio_core.testing import TestApp, check_plugin, installed, make_app
from pinocchio_plugins import echo

RECORDED = {
    "additionalProperties": False,
    "description": "Parses and applies agent-mode switches from model output.",
    "properties": {"default_mode": {"default": "default", "type": "string"}},
    "title": "Agent Mode Middleware",
    "type": "object",
}
TURN = Turn(blocks=(Block(kind=BlockKind.USER, text="hi"),))


@pytest.fixture
def pinocchio_plugins() -> list[Any]:
    return [pinocchio_agentmode, *installed("echo")]


def test_plugin_keeps_the_contract() -> None:
    check_plugin(pinocchio_agentmode)


def test_seed_runs_a_turn_through_the_middleware(pinocchio_app: TestApp) -> None:
    answered = pinocchio_app.post("/chat", {"prompt": "hello", "profile": "agent"})
    assert answered.status == 200
    assert "middlewares: agentmode" in answered.json["reply"]


def test_definition_is_the_recorded_one() -> None:
    (declared,) = pinocchio_agentmode.pinocchio_middleware_definitions()
    assert (declared.name, declared.version, declared.display_name) == ("agentmode", 1, "Agent Mode")
    assert declared.description == RECORDED["description"]
    assert declared.config_schema == RECORDED


def test_built_middleware_knows_the_shipped_modes() -> None:
    (declared,) = pinocchio_agentmode.pinocchio_middleware_definitions()
    result = declared.build({"default_mode": "financial_analyst"})(TURN, lambda turn: turn)
    assert "financial analyst" in result.blocks[0].text


@pytest.mark.parametrize("config", [{}, {"default_mode": "default"}])
def test_plain_default_is_no_mode_and_no_warning(config: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        result = definition().build(config)(TURN, lambda turn: turn)
    assert "You are in the mode" not in result.blocks[0].text
    assert "financial_analyst" in result.blocks[0].text
    assert caplog.records == []


def test_source_of_modes_can_be_another_one() -> None:
    modes = StaticModes([Mode("default", prompt="You are plain.")])
    result = definition(modes).build({})(TURN, lambda turn: turn)
    assert "You are plain." in result.blocks[0].text


def test_seed_is_the_agent_profile() -> None:
    (seed,) = pinocchio_agentmode.pinocchio_bootstrap_profiles()
    assert seed.slug == "agent"
    assert seed.document == {
        "runtime": {
            "system_prompt": "You are a helpful assistant. Be concise.",
            "middlewares": [
                {"name": "agentmode", "id": "default", "config": {"default_mode": "financial_analyst"}},
            ],
        },
        "policy": {"allow_overrides": True, "read_only": False},
    }


def test_a_profile_has_modes_of_its_own_in_its_extension() -> None:
    with make_app(pinocchio_agentmode, echo) as app:
        modes = {"poet": {"prompt": "Answer in verse.", "allowed_tools": []}, "clerk": {"prompt": "Answer in lists."}}
        use = {"name": "agentmode", "config": {"default_mode": "poet"}}
        profile = {
            "slug": "p",
            "runtime": {"middlewares": [use]},
            "policy": {"allow_overrides": True},
            "extensions": {KEY: {"modes": modes}},
        }
        assert app.post("/api/chat/profiles", profile).status == 201
        wish = "```yaml\nmode_switch:\n  new_mode: clerk\n```"
        said = {"conv_id": "c", "profile": "p", "overrides": {"step_settings_patch": {"echo": {"say": wish}}}}
        answer = app.post("/chat", {"prompt": "hello", **said}).json
        assert answer["events"][0]["data"] == {"from": "poet", "to": "clerk", "analysis": ""}
        assert app.post("/chat", {"prompt": "hello", "profile": "agent"}).status == 200


def test_modes_of_a_profile_stand_in_the_place_of_all_others() -> None:
    extensions = {KEY: {"modes": {"poet": {"prompt": "Answer in verse.", "allowed_tools": ["b"]}}}}
    tools = tuple(ToolDefinition(name, description="", arguments_schema={}, call=str) for name in "ab")
    turn = TURN.replace(about={"extensions": extensions}, tools=tools)
    result = definition().build({"default_mode": "poet"})(turn, lambda turn: turn)
    assert "Answer in verse." in result.blocks[0].text
    assert "There are these modes: poet." in result.blocks[0].text
    assert [tool.name for tool in result.tools] == ["b"]


@pytest.mark.parametrize("wrong", [{}, {"modes": []}, {"modes": {"x": {}}}, {"modes": {"x": {"prompt": 1}}}])
def test_modes_of_a_profile_are_checked_when_it_is_written(wrong: object) -> None:
    with make_app(pinocchio_agentmode) as app:
        answer = app.post("/api/chat/profiles", {"slug": "p", "extensions": {KEY: wrong}})
        assert answer.status == 400
        assert answer.json["errors"][0]["field"].startswith(f'extensions["{KEY}"]')
