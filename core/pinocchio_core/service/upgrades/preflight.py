"""What a set of plugins has against stored documents, and what would be worse under one than under another."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from pinocchio_core.domain import paths
from pinocchio_core.domain.diffs import Operation
from pinocchio_core.domain.profile import encode_document
from pinocchio_core.errors import DatabaseRefused, Problem, RowUnreadable
from pinocchio_core.host.host import Host
from pinocchio_core.service.upgrades.judging import Judging
from pinocchio_core.store.copies.documents import StoredDocument, stored_documents

_NOT_MIGRATED: Final = (
    "is no longer read, and versions in the history are not migrated; label the migrated profile instead"
)
Key = tuple[str, str, str, str | None]


class Judged(Struct, frozen=True, kw_only=True):
    """A document that plugins have something against, or would migrate."""

    database: str
    registry: str
    slug: str
    version: int
    label: str | None = None
    """The label of the version that it is, `None` for the profile as it is now."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with it, after its migration where there is one."""
    changes: tuple[Operation, ...] = ()
    """What a migration of its configs does to it; empty where that would be refused."""

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.database, self.registry, self.slug, self.label

    @property
    def name(self) -> str:
        """It for people."""
        what = f'version {self.version} (label "{self.label}") of ' if self.label else ""
        return f'{what}profile "{self.slug}" in registry "{self.registry}" of {self.database}'


class Looked(Struct, frozen=True, kw_only=True):
    """A database or backup that was looked at."""

    path: str
    profiles: int = 0
    labelled: int = 0
    """Versions with a label."""
    unreadable: str | None = None
    """Why not all of it could be looked at."""
    next_step: str | None = None


class Preflight(Struct, frozen=True, kw_only=True):
    """What one set of plugins comes to."""

    plugins: tuple[dict[str, Any], ...] = ()
    faults: tuple[str, ...] = ()
    """One line for each plugin that should be active and is not."""
    databases: tuple[Looked, ...] = ()
    documents: tuple[Judged, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What would be another way under the second of two sets of plugins."""

    faults: list[str]
    """Those that only the second has."""
    faults_already: list[str]
    breaks: list[Judged]
    """Documents with problems that they do not have under the first."""
    broken_already: list[Judged]
    """Documents with problems that they have under both."""
    migrated: list[Judged]
    """Documents that a migration would change, and that it is not refused for."""

    @property
    def sound(self) -> bool:
        """Whether the second can take the place of the first."""
        return not (self.faults or self.breaks)


def looked_at(host: Host, databases: Iterable[Path]) -> Preflight:
    """What the plugins of a host have against every document of these databases and backups; nothing is changed.

    Schemas are asked about what is stored, as a server does, and about what a migration would write all that a write is
    checked by; so plugins must have been told of the database.
    """
    judging = Judging(host)
    looked: list[Looked] = []
    judged: list[Judged] = []
    for path in databases:
        found = Looked(path=str(path))
        try:
            for document in stored_documents(path):
                count = "labelled" if document.label else "profiles"
                found = structs.replace(found, **{count: getattr(found, count) + 1})
                one = _judged(path, document, judging)
                judged += [one] if one.problems or one.changes else []
        except DatabaseRefused as error:
            found = structs.replace(found, unreadable=str(error), next_step=error.next_step)
        looked.append(found)
    return Preflight(
        plugins=tuple(host.documents()),
        faults=tuple(" ".join(record.line().split()) for record in host.faults),
        databases=tuple(looked),
        documents=tuple(judged),
    )


def compared(before: Preflight | None, after: Preflight) -> Comparison:
    """What is worse in `after` than in `before`; without that, all that is wrong counts."""
    known = {judged.key: set(judged.problems) for judged in before.documents} if before else {}
    breaks: list[Judged] = []
    already: list[Judged] = []
    migrated: list[Judged] = []
    for judged in after.documents:
        old = known.get(judged.key, set())
        new = tuple(problem for problem in judged.problems if problem not in old)
        if new:
            breaks.append(structs.replace(judged, problems=new))
        elif judged.problems:
            already.append(judged)
        if judged.changes:
            migrated.append(judged)
    faults_before = before.faults if before else ()
    return Comparison(
        faults=[line for line in after.faults if line not in faults_before],
        faults_already=[line for line in after.faults if line in faults_before],
        breaks=breaks,
        broken_already=already,
        migrated=migrated,
    )


def _judged(path: Path, document: StoredDocument, judging: Judging) -> Judged:
    row = document.row
    judged = Judged(database=str(path), registry=row.registry, slug=row.slug, version=row.version, label=document.label)
    try:
        profile = row.profile()
    except RowUnreadable as error:
        return structs.replace(judged, problems=(Problem(field="", reason=str(error)),))
    plan = judging.plan(row, profile)
    found, problems = plan.migrated, [*plan.migrated.failures, *plan.migrated.left_behind]
    if found.reason and document.label:
        problems += [Problem(field=paths.join("extensions", key), reason=_NOT_MIGRATED) for key in found.replaced]
        return structs.replace(judged, problems=(*problems, *judging.stored_problems(row.payload)))
    refusals = judging.refusals(row, profile, plan.request) if plan.request else ()
    carried = bool(plan.request) and not refusals
    problems += [*refusals, *judging.stored_problems(encode_document(found.profile) if carried else row.payload)]
    return structs.replace(judged, problems=tuple(problems), changes=found.changes if carried else ())
