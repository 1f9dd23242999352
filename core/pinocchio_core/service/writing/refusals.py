"""The one answer for a request of several writes of which some are refused."""

from collections.abc import Sequence

from pinocchio_core.domain.json_text import WHOLE
from pinocchio_core.errors import (
    InvalidRequest,
    NotFound,
    PinocchioError,
    PolicyViolation,
    Problem,
    VersionConflict,
)
from pinocchio_core.service.checking.targets import IN_PATH, IN_QUERY

_ORDER = (NotFound, PolicyViolation, InvalidRequest, PinocchioError)
"""Which kind is answered before which others."""


def refusal(refused: Sequence[tuple[str, PinocchioError]]) -> PinocchioError:
    """What to raise for what was refused, each with its place in the request; a place of "" is the whole of it."""
    ordered = sorted(refused, key=lambda each: _rank(each[1]))
    place, first = ordered[0]
    if not place:
        return first
    problems = [problem for each in ordered for problem in _problems(*each)]
    if isinstance(first, InvalidRequest):
        return InvalidRequest(problems, next_step=first.next_step)
    first.refused = tuple(problems)
    return first


def placed(problem: Problem, place: str) -> Problem:
    """A problem of one write with its path in a request of several."""
    outside = {IN_PATH: f"{place}.slug", IN_QUERY: f"{place}.registry", WHOLE: f"{place}.document"}
    field = outside.get(problem.field) or f"{place}.document.{problem.field}"
    return Problem(field=field, reason=problem.reason, expected=problem.expected, actual=problem.actual)


def _rank(error: PinocchioError) -> int:
    return next(rank for rank, kind in enumerate(_ORDER) if isinstance(error, kind))


def _problems(place: str, error: PinocchioError) -> list[Problem]:
    if isinstance(error, InvalidRequest):
        return [placed(problem, place) for problem in error.problems]
    if isinstance(error, VersionConflict):
        return [Problem(field=place, reason=str(error), expected=str(error.expected), actual=str(error.actual))]
    return [Problem(field=place, reason=str(error))]
