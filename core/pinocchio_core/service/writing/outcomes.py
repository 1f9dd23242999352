"""What a write came to, and what it would come to where it is only tried."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, structs

from pinocchio_core.domain.diffs import Operation, patch_between
from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import Problem, RowUnreadable
from pinocchio_core.store.tables.rows import StoredProfile

Op = Literal["create", "update", "replace", "restore", "delete", "set_default"]
"""What is done to a profile, in the words of the history."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What one change of a profile came to."""

    op: Op
    version: int
    """The profile's version afterwards; a deletion counts as one."""
    row: StoredProfile
    """What is stored afterwards; after a deletion, what was stored before it."""
    before: StoredProfile | None = None
    """What was stored before, `None` for nothing."""
    profile: Profile | None = None
    """What is stored afterwards as a value, where there is something and it can be read."""
    written: bool = True
    """Whether there was anything to change."""
    dry_run: bool = False
    """Whether all of it was taken back."""
    warnings: tuple[Problem, ...] = ()
    """What is wrong with the document, and was before."""

    @property
    def document(self) -> bytes | None:
        """The profile as it is stored now, with `warnings` where there are any; `None` after a deletion."""
        if self.op == "delete":
            return None
        document = self.row.document
        return document if not self.warnings else document[:-1] + b',"warnings":' + _encode(told(self.warnings)) + b"}"

    def result(self) -> dict[str, Any]:
        """It as one of several: the document and the warnings apart, and what is different where it was only tried."""
        row = self.row
        answer: dict[str, Any] = {"registry": row.registry, "slug": row.slug, "version": self.version}
        answer |= self.trial
        if not answer.pop("dry_run") or not self.dry_run:
            del answer["diff"]
        return answer

    @property
    def trial(self) -> dict[str, Any]:
        """What the answer is where it was only tried."""
        after = None if self.op == "delete" else self.row.document
        return trial(_readable(self.before), after, self.warnings)


def trial(before: bytes | None, after: bytes | None, warnings: Sequence[Problem] = ()) -> dict[str, Any]:
    """The answer of a dry run: the document that would result, `None` for none, and what is different then."""
    answer: dict[str, Any] = {"dry_run": True, "diff": _diff(before, after)}
    if after is not None:
        answer["document"] = Raw(after)
    if warnings:
        answer["warnings"] = told(warnings)
    return answer


def told(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as they are answered."""
    return [{name: value for name, value in structs.asdict(each).items() if value is not None} for each in problems]


def _diff(before: bytes | None, after: bytes | None) -> list[Operation]:
    if after is None:
        return [{"op": "remove", "path": ""}]
    document = msgspec.json.decode(after)
    if before is None:
        return [{"op": "add", "path": "", "value": document}]
    return patch_between(msgspec.json.decode(before), document)


def _readable(row: StoredProfile | None) -> bytes | None:
    try:
        return None if row is None else row.document
    except RowUnreadable:
        return None


_encode = msgspec.json.Encoder().encode
