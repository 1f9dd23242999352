"""`pinocchio profiles`: the profiles in a database, read without a server; the group of all that is done to one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import backup, backups, verify
from pinocchio_core.cli.doctor import doctor
from pinocchio_core.cli.explain import explain
from pinocchio_core.cli.options import default_registry_option, store_options
from pinocchio_core.cli.quiesce import quiesce
from pinocchio_core.cli.restore import restore
from pinocchio_core.cli.stores import opened_store
from pinocchio_core.domain.profile import Profile, Registry, RegistryMetadata
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import DatabaseRefused, ProfileNotFound, RowUnreadable, SettingsError
from pinocchio_core.settings import parse_registry
from pinocchio_core.store.files import create_file
from pinocchio_core.store.library import connected
from pinocchio_core.store.listing import ProfileFilter
from pinocchio_core.store.original import LAYOUT, joined
from pinocchio_core.store.registries import StoredRegistry
from pinocchio_core.store.rows import readable
from pinocchio_core.store.store import Store


@click.group()
def profiles() -> None:
    """Look at the profiles in a database and back it up; a server may have it open."""


for _command in (backup, backups, verify, restore, quiesce, doctor, explain):
    profiles.add_command(_command)


@profiles.command("list")
@store_options
@default_registry_option
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON array.")
def list_command(as_json: bool, default_registry: str, **where: Any) -> None:
    """List the profiles of a registry."""
    registry = parse_registry(default_registry)
    with opened_store(**where) as store:
        head = store.registries.head(registry)
        page = store.list_profiles(registry, head.default_profile_slug, ProfileFilter())
    if as_json:
        _print_json(page.document)
        return
    for item in msgspec.json.decode(page.document):
        mark, state = "*" if item["is_default"] else " ", f"  ({item['state']})" if "state" in item else ""
        name = _printable(item.get("display_name", ""))
        click.echo(f"{mark} {item['slug']:<32} v{item['version']:<6} {name}{state}".rstrip())


@profiles.command()
@click.argument("slug")
@store_options
@default_registry_option
def show(slug: str, default_registry: str, **where: Any) -> None:
    """Print one profile as JSON."""
    registry = parse_registry(default_registry)
    try:
        slug = parse_slug(slug)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    with opened_store(**where) as store:
        row = store.profiles.read(registry, slug)
        if row is None:
            store.registries.head(registry)
            raise ProfileNotFound(registry, slug)
        _print_json(row.document)


@profiles.command()
@store_options
@click.option("--registry", metavar="SLUG", help="Only this registry; default: all of them.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["json", "go-sqlite"]),
    default="json",
    show_default=True,
    help="JSON text, or a database in the layout of the original program.",
)
@click.option("--output", type=click.Path(path_type=Path), help="The file to write, which must not exist yet.")
def export(registry: str | None, layout: str, output: Path | None, **where: Any) -> None:
    """Write registries with all their profiles to a file or to standard output.

    Rows that are damaged are named on standard error, and the exit code is 1. In JSON text they are under
    "quarantined", as base64 of what is stored; a database in the original layout is written without them.
    """
    if layout == "go-sqlite" and output is None:
        raise click.UsageError("--format go-sqlite needs --output FILE")
    with opened_store(**where) as store:
        rows = store.registries.all() if registry is None else [store.registries.read(parse_registry(registry))]
        damaged: list[str] = []
        exported = [(row, _joined(store, row, damaged, raw=layout == "json")) for row in rows]
    _write(exported, layout, output)
    for what in damaged:
        click.echo(f"damaged, so not exported as it should be: {what}", err=True)
    if damaged:
        raise SystemExit(1)


def _write(exported: list[tuple[StoredRegistry, bytes]], layout: str, output: Path | None) -> None:
    if output is None:
        _print_json(b"[" + b",".join(payload for _, payload in exported) + b"]")
        return
    try:
        if not create_file(output):
            raise DatabaseRefused(f"{output} exists already", next_step="name a file that does not exist")
    except OSError as error:
        raise DatabaseRefused(f"cannot write {output}: {error.strerror}", next_step="choose another path") from error
    if layout == "json":
        text = msgspec.json.format(b"[" + b",".join(payload for _, payload in exported) + b"]", indent=2)
        output.write_bytes(text + b"\n")
    else:
        _write_original(output, exported)


def _joined(store: Store, row: StoredRegistry, damaged: list[str], *, raw: bool) -> bytes:
    """A registry with its profiles; names those rows in `damaged` that are, and adds what they hold if it is `raw`."""
    quarantined: dict[str, Any] = {}

    def sound() -> Iterator[Profile]:
        for slug in store.list_profiles(row.slug, None, ProfileFilter()).slugs:
            stored = store.profiles.read(row.slug, slug)
            profile = stored and readable(stored)
            if profile:
                yield profile
            elif stored:
                damaged.append(f'profile "{slug}" in registry "{row.slug}"')
                quarantined[slug] = {"version": stored.version, "payload_base64": stored.payload}

    try:
        registry = row.registry()
    except RowUnreadable:
        damaged.append(f'registry "{row.slug}"')
        unknown = RegistryMetadata(created_at_ms=0, created_by="", updated_by="", source="")
        registry = Registry(slug=row.slug, default_profile_slug=row.default_profile_slug, metadata=unknown)
    document = joined(registry, version=row.version, updated_at_ms=row.updated_at_ms, profiles=sound())
    if raw and quarantined:
        document = document[:-1] + b',"quarantined":' + msgspec.json.encode(quarantined) + b"}"
    return document


def _write_original(path: Path, exported: list[tuple[StoredRegistry, bytes]]) -> None:
    insert = "INSERT INTO profile_registries VALUES (?, ?, ?)"
    with connected(path, mode="rw") as connection:
        connection.execute("BEGIN")
        connection.execute(LAYOUT)
        for row, payload in exported:
            connection.execute(insert, (row.slug, payload.decode(), row.updated_at_ms))
        connection.execute("COMMIT")


def _print_json(document: bytes) -> None:
    click.echo(msgspec.json.format(document, indent=2).decode())


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
