"""Every exception of ours has its status, title and problem document."""

from collections.abc import Iterator

import pytest

from pinocchio_core import errors
from pinocchio_core.errors import PinocchioError, Problem, StartupError
from pinocchio_core.web.errors import STATUSES, problem_of, row_of


def concrete(kind: type[PinocchioError] = PinocchioError) -> Iterator[type[PinocchioError]]:
    """The classes that are raised: those without subclasses."""
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from concrete(child)


@pytest.mark.parametrize(
    "kind", [kind for kind in concrete() if not issubclass(kind, StartupError)], ids=lambda kind: kind.__name__
)
def test_every_exception_that_a_request_can_meet_has_a_row(kind: type[PinocchioError]) -> None:
    status, title = row_of(kind)
    assert 400 <= status <= 599
    assert title == title.lower()


@pytest.mark.parametrize(
    "kind", [kind for kind in concrete() if issubclass(kind, StartupError)], ids=lambda kind: kind.__name__
)
def test_what_stops_the_start_has_no_row(kind: type[PinocchioError]) -> None:
    with pytest.raises(StopIteration):
        row_of(kind)


def test_the_table_has_no_row_that_nothing_uses() -> None:
    used = {
        next(base for base in kind.__mro__ if base in STATUSES)
        for kind in concrete()
        if not issubclass(kind, StartupError)
    }
    assert set(STATUSES) == used


@pytest.mark.parametrize(
    ("error", "status", "title", "code"),
    [
        (errors.InvalidRequest([Problem(field="a", reason="b")]), 400, "validation error", "validation_error"),
        (errors.Unauthorized(), 401, "unauthorized", "unauthorized"),
        (errors.Forbidden("x"), 403, "forbidden", "forbidden"),
        (errors.CrossSiteRefused(), 403, "forbidden", "cross_site"),
        (errors.HostRefused('"x"'), 421, "misdirected request", "unknown_host"),
        (errors.TooManyAttempts(9), 429, "too many attempts", "too_many_attempts"),
        (errors.ProfileReadOnly("r", "a"), 403, "policy violation", "profile_read_only"),
        (errors.StoreReadOnly("mode=ro"), 403, "policy violation", "store_read_only"),
        (errors.RegistryNotFound("r"), 404, "registry not found", "registry_not_found"),
        (errors.ProfileNotFound("r", "a"), 404, "profile not found", "profile_not_found"),
        (errors.VersionConflict("x", expected=1, actual=2), 409, "version conflict", "version_conflict"),
        (errors.AlreadyExists("x"), 409, "already exists", "already_exists"),
        (errors.InUse("x", next_step="y"), 409, "in use", "in_use"),
        (errors.StackBroken("r", "a", [errors.Problem(field="f", reason="x")]), 409, "stack broken", "stack_broken"),
        (errors.RowUnreadable("x", "y"), 409, "row unreadable", "row_unreadable"),
        (errors.PreconditionFailed("If-Match"), 412, "precondition failed", "precondition_failed"),
        (errors.BodyTooLarge(5), 413, "request too large", "body_too_large"),
        (errors.UnsupportedMediaType("x"), 415, "unsupported media type", "unsupported_media_type"),
        (errors.HookFailed("p", "h"), 500, "plugin failed", "plugin_failed"),
        (errors.StoreUnavailable("locked"), 503, "store unavailable", "store_unavailable"),
        (errors.Overloaded(3, "p"), 503, "overloaded", "overloaded"),
        (errors.TooManyTurns(3, holding_threads=True), 503, "overloaded", "overloaded"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, PinocchioError) else None,
)
def test_problem_of_writes_a_problem_document(error: PinocchioError, status: int, title: str, code: str) -> None:
    document = problem_of(error)
    assert document["type"] == f"urn:pinocchio:problem:{code}"
    assert (document["status"], document["title"], document["code"]) == (status, title, code)
    assert document["detail"] == str(error)
    assert document.get("next_step") == error.next_step


def test_problem_of_lists_every_problem_without_empty_members() -> None:
    found = [Problem(field="a", reason="b"), Problem(field="c", reason="d", expected="string", actual="number")]
    assert problem_of(errors.InvalidRequest(found))["errors"] == [
        {"field": "a", "reason": "b"},
        {"field": "c", "reason": "d", "expected": "string", "actual": "number"},
    ]


def test_problem_of_shows_what_is_there_now_where_a_conflict_knows_it() -> None:
    current = {"version": 2, "updated_at_ms": 5, "updated_by": "ann"}
    assert problem_of(errors.VersionConflict("x", expected=1, actual=2, current=current))["current"] == current
    assert "current" not in problem_of(errors.VersionConflict("x", expected=1, actual=2))
