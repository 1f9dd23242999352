"""`pinocchio profiles backup | backups | verify`: copies of a database that are known to be good."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.options import DURATION, store_options
from pinocchio_core.domain.slugs import printable
from pinocchio_core.errors import SettingsError
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.settings import parse_store
from pinocchio_core.store.copies import backup as backups_store
from pinocchio_core.store.copies.archive import ENDING, is_archive
from pinocchio_core.store.copies.checks import Inspection, Progress
from pinocchio_core.store.copies.kept import list_backups, prune


@click.command()
@click.argument("destination", required=False, type=click.Path(path_type=Path))
@store_options
@click.option(
    "--format",
    "kind",
    type=click.Choice(("database", "archive")),
    help="`database`: a copy of the file; `archive`: a JSON document a line, for other engines and tools, whose name"
    f" ends with {ENDING}. Default: an archive where DESTINATION is a file's name that ends so, else a copy.",
)
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Afterwards keep only the newest N verified ones.")
@click.option("--max-age", type=DURATION, help="Afterwards remove older verified ones, such as 30d.")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON.")
@click.pass_obj
def backup(
    host: Host,
    /,
    destination: Path | None,
    kind: backups_store.Format | None,
    keep: int | None,
    max_age: float | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Copy the database, verify the copy, and write a manifest beside it; servers may go on writing.

    DESTINATION is a file that does not exist, or a folder; default: beside the database, with the time in its name.
    The newest verified backup is never removed. Exit status: 0 where a verified copy is in place, 1 where not (then
    nothing is left of it), 2 where the command is wrong.
    """
    database, now = database_path(where), datetime.now().astimezone()
    target = _target(database, destination, kind, now)
    plugins = {record.distribution: record.version for record in host.records}
    with shown_progress("verifying") as progress:
        manifest = backups_store.make_backup(database, target, plugins=plugins, now=now, progress=progress)
    pruned = prune(database, target.parent, keep=keep, max_age_s=max_age, now=now, made=target)
    if as_json:
        document = {
            **msgspec.to_builtins(manifest),
            "path": str(target),
            "removed": [str(each) for each in pruned.removed],
        }
        print_json({**document, "not_removed": pruned.failures})
    else:
        done = f"{manifest.profiles} profiles in {manifest.registries} registries, verified"
        click.echo(f"{printable(str(target))}: {done}")
        for each in pruned.removed:
            click.echo(f"removed {printable(str(each))}")
    for failure in pruned.failures:
        click.echo(failure, err=True)


def _target(database: Path, destination: Path | None, kind: backups_store.Format | None, now: datetime) -> Path:
    """Where the copy goes; UsageError where its name is not one of its format."""
    if destination is None or destination.is_dir():
        return backups_store.backup_name(database, now, destination, kind=kind or "database")
    if kind is not None and is_archive(destination) != (kind == "archive"):
        raise click.UsageError(f"the name of an archive ends with {ENDING}, and that of no other copy does")
    return destination


@click.command()
@store_options
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON array.")
def backups(as_json: bool, **where: Any) -> None:
    """List the backups beside the database, the newest first; those without a manifest are not verified."""
    found = list_backups(database_path(where))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for each in found:
        profiles = "?" if each.profiles is None else each.profiles
        state = "verified" if each.verified else "not verified"
        told = f"{each.created_at}  {each.size_bytes:>14,} bytes  {profiles:>8} profiles  {state:<12}"
        click.echo(f"{told}  {each.format:<8}  {printable(each.path)}")


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@store_options
@click.option("--with-plugins", is_flag=True, help="Also list the profiles that the installed plugins would refuse.")
@click.option("--json", "as_json", is_flag=True, help="The findings as a JSON object.")
@click.pass_obj
def verify(host: Host, /, path: Path | None, with_plugins: bool, as_json: bool, **where: Any) -> None:
    """Look at every page and document of a database or a backup, and compare it with its manifest.

    PATH is the file; default: the database. Nothing is changed, and servers may go on. Exit status: 0 where it is
    sound, all versions of its history too, and with --with-plugins none of its profiles would be refused; 1 where not,
    or where it cannot be read; 2 where the command is wrong.
    """
    judge = Validation(host).stored_problems if with_plugins else None
    with shown_progress("verifying") as progress:
        found = backups_store.verify(path or database_path(where), progress=progress, judge=judge)
    if as_json:
        print_json({**msgspec.structs.asdict(found), "path": str(found.path), "sound": found.sound})
    else:
        _print_found(found)
    if not found.sound or found.lost or found.refused:
        click.get_current_context().exit(1)


def _print_found(found: Inspection) -> None:
    state = "sound" if found.sound else "NOT sound"
    counts = f"{found.profiles} profiles in {found.registries} registries, layout {found.layout}"
    click.echo(f"{printable(str(found.path))}: {state}, {counts}")
    for problem in found.problems:
        click.echo(f"  {printable(problem)}")
    for lost in found.lost:
        click.echo(f"  of the history, {printable(lost)}")
    for refused in found.refused:
        click.echo(f"  the installed plugins would refuse {refused}")


def database_path(where: dict[str, Any]) -> Path:
    """The database file that the options name; SettingsError where it is none."""
    dsn = parse_store(where["profile_registry_db"], where["profile_registry_dsn"])
    if dsn.path is None:
        raise SettingsError("a database in memory has no file", next_step="name a database file")
    return dsn.path


@contextmanager
def shown_progress(label: str) -> Iterator[Progress]:
    """A progress bar on a terminal; nothing elsewhere."""
    stream = sys.stderr
    if not stream.isatty():
        yield lambda _, __: None
        return
    with click.progressbar(length=1, label=label, file=stream) as bar:
        yield partial(_advance, bar)


def _advance(bar: Any, done: int, total: int) -> None:
    bar.length = max(total, 1)
    bar.update(done - bar.pos)


def print_json(document: Any) -> None:
    """Print a document for machines, and for people who read it."""
    try:
        encoded = msgspec.json.encode(document)
    except UnicodeEncodeError:  # names of files that are no UTF-8
        encoded = msgspec.json.encode(_encodable(msgspec.to_builtins(document)))
    click.echo(msgspec.json.format(encoded, indent=2).decode())


def _encodable(value: Any) -> Any:
    """A value with escapes for what no JSON can hold."""
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(each) for each in value]
    return "".join(_escaped_surrogate(char) for char in value) if isinstance(value, str) else value


def _escaped_surrogate(char: str) -> str:
    return printable(char) if "\ud800" <= char <= "\udfff" else char
