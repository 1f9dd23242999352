"""What the program raises: the tree that is drawn, and what each message says."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pinocchio_core
from pinocchio_core import errors
from pinocchio_core.errors import PinocchioError, Problem, RequestError

EXAMPLES: tuple[PinocchioError, ...] = (
    errors.InvalidRequest([Problem(field="slug", reason="is missing")]),
    errors.BodyTooLarge(1024),
    errors.UnsupportedMediaType("text/plain"),
    errors.RegistryNotFound("team"),
    errors.ProfileNotFound("team", "analyst"),
    errors.RevisionNotFound("team", "analyst", "production"),
    errors.ProfileReadOnly("team", "analyst"),
    errors.OverrideRefused("team", "analyst", {"tools": "is not allowed"}),
    errors.StoreReadOnly("mode=ro"),
    errors.SourceReadOnly("team", "team.yaml"),
    errors.ConversationNotFound("conv-1"),
    errors.IdempotencyMismatch("conv-1"),
    errors.HistoryReset("7-12345678", "3-87654321"),
    errors.ListenersFull(500),
    errors.ConversationBusy("conv-1"),
    errors.MiddlewareFailed("shout", "acme"),
    errors.EngineFailed("the provider is away", status=503),
    errors.TurnCancelled(),
    errors.Unauthorized(),
    errors.CrossSiteRefused(),
    errors.TooManyAttempts(30),
    errors.HostRefused('"evil.example"'),
    errors.VersionConflict('profile "analyst"', expected=1, actual=2),
    errors.AlreadyExists('profile "analyst"'),
    errors.InUse("it is the default", next_step="choose another default"),
    errors.StackBroken("default", "leaf", [errors.Problem(field="runtime.extends[0].slug", reason="is not there")]),
    errors.PreconditionFailed("If-Match"),
    errors.StoreUnavailable("the disk is full", retry_after_s=5),
    errors.Overloaded(8, "acme"),
    errors.TooManyTurns(8, holding_threads=False),
    errors.RowUnreadable('profile "analyst"', "its payload does not match its checksum"),
    errors.HookFailed("acme", "pinocchio_validate_profile"),
    errors.SettingsError("--addr is no address", next_step="write HOST:PORT"),
    errors.DatabaseRefused("it is a folder", next_step="name a file"),
    errors.FilesRefused([errors.FileProblem(Path("team.yaml"), 3, "slug", "is missing")]),
    errors.PlanOutdated(['profile "a" is gone']),
    errors.CandidateFailed("acme-2.0.whl cannot be installed", next_step="correct it"),
    errors.PluginsFailed(["acme 1.0: boom", "emca 2.0: bang"]),
)


def drawn_tree() -> dict[str, str]:
    """Each class in the module's docstring with the class above it."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)", line)
        if not match:
            continue
        depth, name = len(match[1]), match[2]
        while above and above[-1][0] >= depth:
            above.pop()
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def every_class(kind: type[PinocchioError] = PinocchioError) -> Iterator[type[PinocchioError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every_class(child)


def leaves() -> list[type[PinocchioError]]:
    return [kind for kind in every_class() if not kind.__subclasses__()]


def test_the_drawn_tree_is_the_tree() -> None:
    assert drawn_tree() == {kind.__name__: kind.__bases__[0].__name__ for kind in every_class()}


def test_all_of_our_exceptions_are_in_the_tree() -> None:
    for module in pkgutil.walk_packages(pinocchio_core.__path__, "pinocchio_core."):
        if module.name != "pinocchio_core.store.sqlite.apsw_library":  # which needs an extra, and has no exceptions
            importlib.import_module(module.name)
    assert {kind.__module__.rpartition(".")[0] for kind in every_class()} == {"pinocchio_core.errors"}


def test_every_leaf_has_an_example_here() -> None:
    assert {type(error) for error in EXAMPLES} == set(leaves())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_leaf_has_a_message_and_says_what_to_do(error: PinocchioError) -> None:
    assert len(str(error)) > 10
    if not isinstance(error, errors.InvalidRequest):  # whoever raises it knows what to do
        assert error.next_step
    assert inspect.getdoc(type(error))


def test_every_request_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in every_class(RequestError)]  # type: ignore[attr-defined]  # all are RequestErrors
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_an_invalid_request_tells_its_first_problem_and_counts_the_rest() -> None:
    first = Problem(field="runtime.middlewares[0].name", reason='unknown middleware "does_not_exist"')
    one = errors.InvalidRequest([first])
    assert str(one) == 'validation error (runtime.middlewares[0].name): unknown middleware "does_not_exist"'
    three = errors.InvalidRequest([first, first, first])
    assert str(three) == f"{one}; and 2 more"
    assert three.problems == (first, first, first)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.VersionConflict('profile "a"', expected=1, actual=2),
            'profile "a" version conflict: expected=1 actual=2',
        ),
        (errors.ProfileNotFound("default", "a"), 'profile not found: "a" in registry "default"'),
        (errors.RevisionNotFound("default", "a", 7), 'revision not found: "a@7" in registry "default"'),
        (
            errors.RevisionNotFound("default", "a", "beta", reason="the profile was deleted"),
            'revision not found: "a@beta" in registry "default": the profile was deleted',
        ),
        (errors.Forbidden("only an admin may"), "not allowed: only an admin may"),
        (errors.RegistryNotFound("team"), 'registry not found: "team"'),
        (errors.BodyTooLarge(10), "the request body is larger than 10 bytes"),
        (errors.UnsupportedMediaType(None), "the request body must be application/json, not of no stated type"),
        (errors.StoreUnavailable("the disk is full"), "store unavailable: the disk is full"),
        (
            errors.HookFailed("acme", "pinocchio_engines"),
            "plugin acme failed in pinocchio_engines; nothing was written",
        ),
        (errors.PluginsFailed(["a: b", "c: d"]), "broken plugins:\n  a: b\n  c: d"),
    ],
)
def test_messages_keep_the_words_that_operators_look_for(error: PinocchioError, text: str) -> None:
    assert str(error) == text


def test_a_failing_store_says_when_to_try_again() -> None:
    assert errors.StoreUnavailable("locked", retry_after_s=5).next_step == "try again in 5 s"


@pytest.mark.parametrize("kind", [kind for kind in leaves() if issubclass(kind, errors.StartupError)])
def test_what_stops_the_start_has_the_exit_code_that_is_drawn(kind: type[errors.StartupError]) -> None:
    drawn = re.search(rf"{kind.__name__} .*\(exit (\d)\)", errors.__doc__ or "")
    assert drawn
    assert kind.exit_code == int(drawn[1]) == (2 if kind is errors.SettingsError else 1)
