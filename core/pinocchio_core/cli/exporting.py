"""`pinocchio profiles export`: registries with all their profiles as text, as files, or for the original program."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pinocchio_core.cli.options import store_options
from pinocchio_core.cli.stores import opened_store
from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata
from pinocchio_core.errors import DatabaseRefused, RowUnreadable
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.settings import parse_registry
from pinocchio_core.store.layouts.original import LAYOUT, joined
from pinocchio_core.store.sqlite.faults import fault_of
from pinocchio_core.store.sqlite.files import create_file
from pinocchio_core.store.sqlite.library import connected, library
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.registries import StoredRegistry
from pinocchio_core.store.tables.rows import readable

_ELSEWHERE: Final = "choose another path, or make space"


@dataclass(frozen=True)
class Loaded:
    """A registry as it was read, and what of it cannot be."""

    row: StoredRegistry
    registry: Registry
    profiles: list[Profile]
    damaged: dict[str, Any]
    """What is stored of damaged profiles, by slug."""
    registry_damaged: bool = False


@click.command()
@store_options
@click.option("--registry", metavar="SLUG", help="Only this registry; default: all of them.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "yaml", "go-sqlite"]),
    default="json",
    show_default=True,
    help="JSON text, files for people, or a database in the layout of the original program.",
)
@click.option(
    "--layout",
    type=click.Choice(["file", "folder"]),
    default="file",
    show_default=True,
    help="Of YAML: a file for each registry, or a folder with a file for each profile.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="What to write. It must not exist yet, apart from YAML, which is brought up to date.",
)
@click.pass_obj
def export(host: Host, /, registry: str | None, form: str, layout: str, output: Path | None, **where: Any) -> None:
    """Write registries with all their profiles to files or to standard output.

    YAML has what people write: no versions, times and authors. Over files that are there, comments and order stay.

    Rows that are damaged are named on standard error, and the exit code is 1. In JSON text they are under
    "quarantined", as base64 of what is stored; the others are written without them.
    """
    if output is None and (form == "go-sqlite" or layout == "folder"):
        raise click.UsageError(f"--{'format go-sqlite' if form == 'go-sqlite' else 'layout folder'} needs --output")
    if layout == "folder" and form != "yaml":
        raise click.UsageError("--layout folder is for --format yaml")
    with opened_store(**where) as store:
        loaded = load(store, None if registry is None else parse_registry(registry))
    if form == "yaml":
        _write_yaml(host, loaded, output, in_folder=layout == "folder", only=registry is not None)
    else:
        _write([(each.row, _joined(each, raw=form == "json")) for each in loaded], form, output)
    if form == "go-sqlite":
        for profile in (profile for each in loaded for profile in each.profiles if profile.runtime.extends):
            told = f'profile "{profile.slug}" in registry "{profile.registry}" builds on others'
            click.echo(f"{told}, which the original program does not know: it has only its own part there", err=True)
    damaged = [what for each in loaded for what in _named_damage(each)]
    for what in damaged:
        click.echo(f"damaged, so not exported as it should be: {what}", err=True)
    if damaged:
        raise SystemExit(1)


def load(store: Store, registry: str | None) -> list[Loaded]:
    """A registry with its profiles, or all of them where none is named, as they are at one moment."""
    with store.database.one_moment():
        rows = store.registries.all() if registry is None else [store.registries.read(registry)]
        return [_load(store, row) for row in rows]


def _load(store: Store, row: StoredRegistry) -> Loaded:
    profiles, damaged = [], {}
    for slug in store.list_profiles(row.slug, None, ProfileFilter()).slugs:
        stored = store.profiles.read(row.slug, slug)
        profile = stored and readable(stored)
        if profile:
            profiles.append(profile)
        elif stored:
            damaged[slug] = {"version": stored.version, "payload_base64": stored.payload}
    try:
        return Loaded(row, row.registry(), profiles, damaged)
    except RowUnreadable:
        unknown = RegistryMetadata(created_at_ms=0, created_by="", updated_by="", source="")
        registry = Registry(slug=row.slug, default_profile_slug=row.default_profile_slug, metadata=unknown)
        return Loaded(row, registry, profiles, damaged, registry_damaged=True)


def _named_damage(loaded: Loaded) -> Iterator[str]:
    if loaded.registry_damaged:
        yield f'registry "{loaded.row.slug}"'
    for slug in loaded.damaged:
        yield f'profile "{slug}" in registry "{loaded.row.slug}"'


def _joined(loaded: Loaded, *, raw: bool) -> bytes:
    """A registry with its profiles, and with `raw` what the damaged ones hold."""
    row = loaded.row
    document = joined(
        loaded.registry, version=row.version, updated_at_ms=row.updated_at_ms, profiles=iter(loaded.profiles)
    )
    if raw and loaded.damaged:
        document = document[:-1] + b',"quarantined":' + msgspec.json.encode(loaded.damaged) + b"}"
    return document


def _write(exported: list[tuple[StoredRegistry, bytes]], form: str, output: Path | None) -> None:
    text = msgspec.json.format(b"[" + b",".join(payload for _, payload in exported) + b"]", indent=2)
    if output is None:
        click.echo(text.decode())
        return
    try:
        if not create_file(output):
            raise DatabaseRefused(f"{output} exists already", next_step="name a file that does not exist")
        with _removed_on_failure(output, Path(f"{output}-journal")):
            if form == "json":
                output.write_bytes(text + b"\n")
            else:
                _write_original(output, exported)
    except OSError as error:
        raise DatabaseRefused(f"cannot write {output}: {error.strerror}", next_step=_ELSEWHERE) from error
    except library().errors as error:
        raise DatabaseRefused(f"cannot write {output}: {fault_of(error) or error}", next_step=_ELSEWHERE) from error


@contextmanager
def _removed_on_failure(*paths: Path) -> Iterator[None]:
    """Files of which nothing is left where the block fails: they would only be in the way of the next attempt."""
    try:
        yield
    except BaseException:
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _write_original(path: Path, exported: list[tuple[StoredRegistry, bytes]]) -> None:
    insert = "INSERT INTO profile_registries VALUES (?, ?, ?)"
    with connected(path, mode="rw") as connection:
        connection.execute("BEGIN")
        connection.execute(LAYOUT)
        for row, payload in exported:
            connection.execute(insert, (row.slug, payload.decode(), row.updated_at_ms))
        connection.execute("COMMIT")


def _write_yaml(host: Host, loaded: list[Loaded], output: Path | None, *, in_folder: bool, only: bool) -> None:
    from pinocchio_core.service.files.exports import Exported, FileChange, YamlExports
    from pinocchio_core.service.files.filed import FiledRegistries

    exports = YamlExports(FiledRegistries(Validation(host)))
    exported = [Exported(each.registry, each.profiles, frozenset(each.damaged)) for each in loaded]
    if output is None:
        if len(exported) != 1:
            raise click.UsageError("there are several registries: name one with --registry, or a folder with --output")
        click.echo(exports.file(exported[0], None).text, nl=False)
        return
    one = only or (len(exported) == 1 and not in_folder)
    changes: list[FileChange] = []
    for each in exported:
        slug = each.registry.slug
        if in_folder:
            changes += exports.folder(each, output if one else output / slug)
        else:
            changes.append(exports.file(each, output if one and not output.is_dir() else output / f"{slug}.yaml"))
    for change in changes:
        _put(change.path, change.text)


def _put(path: Path, text: str | None) -> None:
    """Write a file in one piece, or remove it; a new one is its owner's alone."""
    try:
        if text is None:
            path.unlink()
            click.echo(f"removed {path}")
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with _removed_on_failure(*([beside, path] if create_file(path) else [beside])):
            beside.write_text(text, encoding="utf-8")
            beside.chmod(path.stat().st_mode & 0o777)
            beside.replace(path.resolve())
    except OSError as error:
        raise DatabaseRefused(f"cannot write {path}: {error.strerror}", next_step=_ELSEWHERE) from error
    click.echo(f"wrote {path}")
