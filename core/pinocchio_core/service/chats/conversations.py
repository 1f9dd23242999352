"""Use cases of conversations: list, read, remove, and whose they are."""

from typing import Any

from pinocchio_core.errors import ConversationNotFound
from pinocchio_core.service.access.callers import Caller
from pinocchio_core.store.tables.conversations import ConversationStore


class ConversationService:
    """Conversations, each for who began it and for administrators."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    def recent(self, limit: int, caller: Caller) -> list[dict[str, Any]]:
        """The conversations that were changed last, of those that the caller may see."""
        return self._store.recent(limit, owner=None if caller.owns(None) else caller.name)

    def one(self, conv_id: str, caller: Caller) -> dict[str, Any]:
        """A conversation with its turns, the oldest first; ConversationNotFound where the caller sees none."""
        self.require_own(conv_id, caller)
        turns = self._store.history(conv_id)
        if not turns:
            raise ConversationNotFound(conv_id)
        return {"conv_id": conv_id, "turns": [turn.document() for turn in turns]}

    def delete(self, conv_id: str, caller: Caller) -> None:
        """Remove a conversation with all its turns; ConversationNotFound where the caller sees none."""
        self.require_own(conv_id, caller)
        self._store.delete(conv_id)

    def require_own(self, conv_id: str, caller: Caller) -> None:
        """Raise ConversationNotFound where it is somebody else's; a new one is anybody's."""
        owner = None if caller.owns(None) else self._store.owner(conv_id)
        if owner is not None and not caller.owns(owner[0]):
            raise ConversationNotFound(conv_id)
