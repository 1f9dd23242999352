"""Many changes of profiles at once: all of them, or none and everything that is wrong with any of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, UnsetType, structs

from pinocchio_core.domain import limits
from pinocchio_core.domain.json_text import WHOLE
from pinocchio_core.domain.slugs import shown, trim
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.service.checking.envelope import open_envelope
from pinocchio_core.service.checking.names import count_problem, registry_problems
from pinocchio_core.service.checking.requests import BatchRequest, SentWrite
from pinocchio_core.service.checking.targets import Target, opened
from pinocchio_core.service.writing.outcomes import Op, Outcome
from pinocchio_core.service.writing.planned import Planned
from pinocchio_core.service.writing.refusals import placed
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.tables.rows import Author

OPS: Final[dict[str, Op]] = {
    "create": "create",
    "patch": "update",
    "replace": "replace",
    "delete": "delete",
    "set_default": "set_default",
}
"""What a write may do, in the words of requests, and in those of the history."""


class Write(Struct, frozen=True, kw_only=True):
    """One change of many."""

    op: str
    """One of OPS."""
    target: Target
    document: bytes = b""
    """The body that the request for this alone would have; empty for none."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with it apart from its names and its document, with whole paths."""


class BatchService:
    """Changes of many profiles in one transaction."""

    def __init__(self, writes: ProfileWrites) -> None:
        self._writes = writes

    def request(self, target: Target, body: bytes, *, author: Author) -> tuple[list[Write], list[Outcome]]:
        """Do what a request for several writes says, and say what it was.

        Raises:
            InvalidRequest: with every problem of every write; and what `apply` raises.
        """
        tree, request, problems = opened(body, BatchRequest, target)
        in_registry = list(registry_problems("registry", tree.get("registry")))
        problems += [*in_registry, *_count_problems(tree.get("writes"))]
        registry = None if in_registry else _named(tree.get("registry")) or target.registry
        sent = request.writes if request else None
        writes = list(_writes(_items(tree) if sent is None else sent, registry, target.registries))
        author = author.because(request.reason if request else None)
        plans = self.plan(writes, author=author, problems=problems)
        return writes, self._writes.carry_out(plans, dry_run=target.dry_run)

    def apply(self, writes: Sequence[Write], *, author: Author, dry_run: bool = False) -> list[Outcome]:
        """Make any number of changes, in this order and in one transaction; with `dry_run` all is taken back again.

        Raises:
            InvalidRequest: with every problem of every write, whose `target.place` begins its path.
            NotFound, PolicyViolation, Conflict, RowUnreadable: what is stored does not allow some of them; `refused`
                names these.
            StoreUnavailable: what is stored moved on again and again until the busy timeout, or the store failed.
        """
        return self._writes.carry_out(self.plan(writes, author=author), dry_run=dry_run)

    def plan(self, writes: Sequence[Write], *, author: Author, problems: Iterable[Problem] = ()) -> list[Planned]:
        """What the writes ask for, where nothing is wrong with any of them by itself; `problems` were found before.

        Raises:
            InvalidRequest: with every problem.
        """
        found, plans, next_step = list(problems), list[Planned](), None
        for write in writes:
            found += write.problems
            try:
                if write.op in OPS or not write.problems:
                    plans.append(self._writes.plan(OPS[write.op], write.target, write.document, author=author))
            except InvalidRequest as error:
                next_step = next_step or error.next_step
                known = {problem.field for problem in write.problems}
                inside = (placed(problem, write.target.place) for problem in error.problems)
                found += [problem for problem in inside if problem.field not in known]
        found += _repeated(plans)
        if found:
            raise InvalidRequest(found, next_step=next_step)
        return plans


def _count_problems(writes: Any) -> Iterator[Problem]:
    if writes is None or writes == []:
        yield Problem(field="writes", reason="must have at least one member")
    yield from count_problem("writes", writes, limits.MAX_BATCH)


def _items(tree: dict[str, Any]) -> list[Raw]:
    """The writes of a request that is not sound as a whole."""
    items = tree.get("writes")
    return [Raw(msgspec.json.encode(item)) for item in items] if isinstance(items, list) else []


def _writes(items: Sequence[Raw], registry: str | None, seen: frozenset[str] | None) -> Iterator[Write]:
    for index, item in enumerate(items[: limits.MAX_BATCH]):
        place = f"writes[{index}]"
        try:
            tree, sent, problems = open_envelope(bytes(item), SentWrite)
        except InvalidRequest as error:
            tree, sent, problems = {}, None, list(error.problems)
        else:
            problems += _op_problems(tree)
        yield Write(
            op=_text(tree.get("op")) or "",
            target=structs.replace(_target(tree, sent, registry, place), registries=seen),
            document=_document(tree, sent),
            problems=tuple(
                structs.replace(problem, field=place if problem.field == WHOLE else f"{place}.{problem.field}")
                for problem in problems
            ),
        )


def _op_problems(tree: dict[str, Any]) -> Iterator[Problem]:
    op, document = tree.get("op"), tree.get("document")
    if op is None or (isinstance(op, str) and op not in OPS):
        known = ", ".join(OPS)
        reason = f"must be one of {known}" if op is None else f"unknown op {shown(op)}; known: {known}"
        yield Problem(field="op", reason=reason)
    if op == "delete" and document is not None:
        yield Problem(field="document", reason="a deletion has none")
    if op == "replace" and document is None:
        yield Problem(field="document", reason="is missing; a replacement without one would empty the profile")


def _target(tree: dict[str, Any], sent: SentWrite | None, registry: str | None, place: str) -> Target:
    return Target(
        slug=_text(tree.get("slug")) or "",
        registry=_named(tree.get("registry")) or registry,
        expected_version=(sent.expected_version if sent else None) or 0,
        place=place,
    )


def _document(tree: dict[str, Any], sent: SentWrite | None) -> bytes:
    """The body of the request that does this alone."""
    if tree.get("document") is None:
        return b"" if tree.get("op") in ("delete", "set_default") else b"{}"
    raw = sent.document if sent else msgspec.json.encode(tree["document"])
    return b"" if isinstance(raw, UnsetType) else bytes(raw)


def _repeated(plans: Sequence[Planned]) -> Iterator[Problem]:
    first: dict[tuple[str, str], str] = {}
    for plan in plans:
        order = plan.order
        where = first.setdefault((order.registry, order.slug), order.place)
        if where != order.place:
            what = f"profile {shown(order.slug)} in registry {shown(order.registry)}"
            yield Problem(field=f"{order.place}.slug", reason=f"{where} is about {what} too; name each profile once")


def _named(registry: Any) -> str | None:
    """The name of a registry, `None` where it is blank."""
    text = _text(registry)
    return text if text and trim(text) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
