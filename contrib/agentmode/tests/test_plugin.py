"""What the plugin declares."""

import logging

import pytest

import pinocchio_agentmode
from pinocchio_agentmode.definition import definition
from pinocchio_agentmode.modes import Mode, StaticModes
from pinocchio_core.plugin import Block, BlockKind, Turn

RECORDED = {
    "additionalProperties": False,
    "description": "Parses and applies agent-mode switches from model output.",
    "properties": {"default_mode": {"default": "default", "type": "string"}},
    "title": "Agent Mode Middleware",
    "type": "object",
}
TURN = Turn(blocks=(Block(kind=BlockKind.USER, text="hi"),))


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
