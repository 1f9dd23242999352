"""Turns are values: changing one makes another."""

import dataclasses

import pytest

from pinocchio_core.domain.turns import Block, BlockKind, Turn


def test_replace_makes_a_changed_turn_and_leaves_the_first() -> None:
    first = Turn(blocks=(Block(kind=BlockKind.USER, text="hello"),), state={"acme": 1})
    second = first.replace(blocks=())
    assert first.blocks[0].text == "hello"
    assert second == Turn(state={"acme": 1})


def test_a_turn_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Turn().blocks = ()  # type: ignore[misc]  # what is tested


def test_kinds_of_blocks_are_their_names_in_json() -> None:
    assert [str(kind) for kind in BlockKind] == ["system", "user", "assistant", "tool_call", "tool_result"]
