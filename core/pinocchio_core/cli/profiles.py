"""`pinocchio profiles`: the profiles in a database, read without a server; the group of all that is done to one."""

from typing import Any

import click
import msgspec

from pinocchio_core.cli.apply import apply, import_command
from pinocchio_core.cli.backups import backup, backups, verify
from pinocchio_core.cli.doctor import doctor
from pinocchio_core.cli.explain import explain
from pinocchio_core.cli.exporting import export
from pinocchio_core.cli.history import diff, history, restore_version
from pinocchio_core.cli.options import default_registry_option, store_options
from pinocchio_core.cli.plan import plan
from pinocchio_core.cli.quiesce import quiesce
from pinocchio_core.cli.restore import restore
from pinocchio_core.cli.stores import opened_store
from pinocchio_core.domain.references import parse_reference
from pinocchio_core.errors import SettingsError
from pinocchio_core.service.references import referenced_row
from pinocchio_core.settings import parse_registry
from pinocchio_core.store.tables.filters import ProfileFilter


@click.group()
def profiles() -> None:
    """Look at the profiles in a database and back it up; a server may have it open."""


for _command in (
    *(export, plan, apply, import_command, explain, history, diff, restore_version),
    *(backup, backups, verify, restore, quiesce, doctor),
):
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
    """Print one profile as JSON; SLUG may say which version is meant, as agent@7 or agent@production."""
    registry = parse_registry(default_registry)
    try:
        parse_reference(slug)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    with opened_store(**where) as store:
        _print_json(referenced_row(store, registry, slug).document)


def _print_json(document: bytes) -> None:
    click.echo(msgspec.json.format(document, indent=2).decode())


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
