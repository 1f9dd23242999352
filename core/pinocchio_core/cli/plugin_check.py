"""`pinocchio plugins check`: what an upgrade of plugins would break, before it is made."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.candidate import ROOM, Candidate, Environment
from pinocchio_core.cli.options import database_options
from pinocchio_core.cli.plugin_migrate import operation_line, problem_line
from pinocchio_core.cli.stores import told
from pinocchio_core.errors import CandidateFailed, SettingsError
from pinocchio_core.host.blame import end
from pinocchio_core.host.host import Host
from pinocchio_core.service.upgrades.preflight import Comparison, Judged, Preflight, compared, looked_at
from pinocchio_core.settings import parse_store
from pinocchio_core.store.copies.kept import list_backups

_SHOWN = 100
_NO_PLUGIN = "{} has no plugin: it names none in the entry points pinocchio.plugins"


@click.command()
@click.option(
    "--with",
    "sources",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="WHEEL|PATH",
    help="A wheel, or a folder with the sources of a package, to try in place of what is installed. Repeatable.",
)
@database_options
@click.option(
    "--backups",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also look at the backups of the database that are in this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON object.")
@click.pass_obj
def check(host: Host, /, sources: tuple[Path, ...], backups: Path | None, as_json: bool, **where: Any) -> None:
    """Say which stored profiles, labelled versions and backups the plugins would refuse, path by path.

    With --with, in an environment of its own, what becomes worse than it is with the installed plugins; without it,
    everything that the installed ones are against. Also shows what `plugins migrate` would do. Nothing is changed,
    and servers may go on. Exit status: 0 where all is well, 1 where something would break or a plugin is at fault,
    2 where the command is wrong.
    """
    main, databases, notes = _databases(where, backups)
    with redirect_stdout(sys.stderr), told(host, main):  # standard output is for what is found
        before = looked_at(host, databases)
    candidates: list[Candidate] = []
    if sources:
        with _temporary_folder() as folder:
            environment = Environment(folder)
            candidates = environment.install(sources)
            after = environment.look_at(main, databases)
        comparison = compared(before, after)
        notes += [_NO_PLUGIN.format(candidate.name) for candidate in candidates if not _of(candidate, after)]
    else:
        after, comparison = before, compared(None, before)
    unreadable = any(database.unreadable for database in after.databases)
    sound = comparison.sound and not unreadable
    if as_json:
        print_json(_document(candidates, after, comparison, sound=sound, notes=notes))
    else:
        for line in _lines(candidates, after, comparison, notes):
            click.echo(line)
    if not sound:
        click.get_current_context().exit(1)


def _databases(where: dict[str, Any], backups: Path | None) -> tuple[Path | None, list[Path], list[str]]:
    """The database that plugins are told of, all files to look at, and what is not there to be looked at.

    A database that is not there is looked for all the same where it is named.
    """
    path = parse_store(where["profile_registry_db"], where["profile_registry_dsn"]).path
    if path is None:
        raise SettingsError("a database in memory has no file", next_step="name a database file")
    there, notes = path.exists(), []
    found = [path] if there or any(where.values()) else []
    if not found:
        notes.append(f"no database is named, and there is none at {path}")
    if backups is not None:
        copies = [Path(each.path) for each in list_backups(path, backups)]
        found += copies
        notes += [] if copies else [f"there is no backup of {path.name} in {backups}"]
    return (path if there else None), found, notes


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = TemporaryDirectory(prefix="pinocchio-check-")
    except OSError as error:
        raise CandidateFailed(f"no temporary folder can be made: {error.strerror}", next_step=ROOM) from error
    with folder as name, _hangup_ends():
        yield Path(name)


@contextmanager
def _hangup_ends() -> Iterator[None]:
    """A terminal that is closed ends the block too; what it has started is no longer the terminal's."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:  # as under nohup
        yield
        return
    signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _of(candidate: Candidate, after: Preflight) -> list[dict[str, Any]]:
    return [plugin for plugin in after.plugins if plugin["distribution"] == candidate.name]


def _document(
    candidates: Sequence[Candidate], after: Preflight, comparison: Comparison, *, sound: bool, notes: Sequence[str]
) -> dict[str, Any]:
    return {
        "sound": sound,
        "notes": notes,
        "candidates": [vars(candidate) for candidate in candidates],
        "plugins": after.plugins,
        "databases": after.databases,
        **vars(comparison),
    }


def _lines(
    candidates: Sequence[Candidate], after: Preflight, comparison: Comparison, notes: Sequence[str]
) -> Iterator[str]:
    yield from (candidate.line() for candidate in candidates)
    for plugin in (plugin for candidate in candidates for plugin in _of(candidate, after)):
        yield f"{plugin['status']:<14} {plugin['name']} {plugin['detail']}".rstrip()
    yield from (f"{'note':<15}{line}" for line in notes)
    yield from (f"{'FAULT':<15}{line}" for line in comparison.faults)
    yield from (f"{'fault already':<15}{line}" for line in comparison.faults_already)
    for database in after.databases:
        labelled = f" and {database.labelled} labelled versions" if database.labelled else ""
        yield f"{'looked at':<15}{database.path}: {database.profiles} profiles{labelled}"
        if database.unreadable:
            yield f"{'UNREADABLE':<15}{database.unreadable}"
            yield from (f"  → {step}" for step in (database.next_step,) if step)
    would = "would " if candidates else ""
    yield from _documents("BREAKS", comparison.breaks)
    yield from _documents("broken already", comparison.broken_already)
    yield from _documents("migrates", comparison.migrated)
    yield (
        f"{len(comparison.breaks)} {would}break, {len(comparison.broken_already)} broken already,"
        f" {len(comparison.migrated)} {would}migrate"
    )


def _documents(label: str, documents: Sequence[Judged]) -> Iterator[str]:
    for judged in documents[:_SHOWN]:
        yield f"{label:<15}{judged.name}"
        yield from (f"    {problem_line(problem)}" for problem in judged.problems)
        yield from (f"    {operation_line(change)}" for change in judged.changes)
    if len(documents) > _SHOWN:
        yield f"{label:<15}{len(documents) - _SHOWN} more; --json has them all"
