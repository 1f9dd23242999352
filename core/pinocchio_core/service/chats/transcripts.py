"""What of a conversation goes to the engine, and what a turn adds to it."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from pinocchio_core.domain.turns import Block, BlockKind, Turn


class HistoryBounds(Struct, frozen=True, kw_only=True):
    """How much of the turns before is sent; what is stored stays whole."""

    turns: int = 100
    """The newest ones."""
    characters: int = 200_000
    """Of these turns and the new message together."""


DEFAULT_BOUNDS: Final = HistoryBounds()


def earlier(turns: Sequence[Sequence[Block]], message: Block, bounds: HistoryBounds) -> tuple[Block, ...]:
    """The blocks of the newest of these turns, the oldest first, that fit within bounds beside the new message.

    A turn is sent whole or not at all, so that no call of a tool loses its result.
    """
    left = bounds.characters - _size(message)
    kept: list[Sequence[Block]] = []
    for blocks in list(reversed(turns))[: bounds.turns]:
        left -= sum(map(_size, blocks))
        if left < 0:
            break
        kept.append(blocks)
    return tuple(block for blocks in reversed(kept) for block in blocks)


def added(turn: Turn, user: Block) -> tuple[Block, ...]:
    """What the turn added to the conversation: the user's block, and those after it.

    A middleware may have put another in its place, for example without what is confidential; then that one is kept.
    """
    own = [index for index, block in enumerate(turn.blocks) if block is user]
    users = [index for index, block in enumerate(turn.blocks) if block.kind is BlockKind.USER]
    if own or users:
        return turn.blocks[(own or users)[-1] :]
    return (user, *[block for block in turn.blocks if block.kind is BlockKind.ASSISTANT][-1:])


def reply_of(blocks: Iterable[Block]) -> str:
    """The last text of the assistant."""
    replies = [block.text for block in blocks if block.kind is BlockKind.ASSISTANT]
    return replies[-1] if replies else ""


def _size(block: Block) -> int:
    arguments = b"" if block.arguments is None else msgspec.json.encode(dict(block.arguments), enc_hook=str)
    return len(block.text) + len(arguments)
