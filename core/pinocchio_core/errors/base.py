"""What every exception of this program is, and `Problem`, the unit of bad input."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a document.

    `field` is the path of the value (`runtime.middlewares[0].name`), `reason` says what is wrong in words;
    `expected` and `actual` are given where both are known and harmless to show.
    """

    field: str
    reason: str
    expected: str | None = None
    actual: str | None = None


MAX_PROBLEMS = 100
"""Problems that one answer lists; a request may have tens of thousands."""


class PinocchioError(Exception):
    """Anything this program raises on purpose."""

    next_step: str | None = None
    """One sentence: what to do now."""
    refused: Sequence[Problem] = ()
    """Of a request of several writes: those that are refused, and why; this is the first of them."""


class RequestError(PinocchioError):
    """A request that cannot be carried out."""

    code: ClassVar[str] = "request_refused"
    """Stable, snake_case, for programs."""
