"""`pinocchio profiles history`, `diff` and `restore-version`: what was done to a profile, and going back."""

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import default_registry_option, registry_option, store_options
from pinocchio_core.cli.refusals import every_problem_told
from pinocchio_core.cli.stores import cli_author, opened_store, writable_profiles
from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import printable
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.targets import Target
from pinocchio_core.service.history import PAGE, HistoryService
from pinocchio_core.settings import parse_registry


@click.command()
@click.argument("slug")
@registry_option
@click.option(
    "--limit",
    type=click.IntRange(1, limits.MAX_PAGE),
    default=PAGE,
    show_default=True,
    help="How many versions, the newest first.",
)
@store_options
@default_registry_option
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, as the route `revisions` answers.")
def history(slug: str, registry: str | None, limit: int, default_registry: str, as_json: bool, **where: Any) -> None:
    """List the versions of SLUG, the newest first: when, who, what and why."""
    with opened_store(**where) as store, every_problem_told():
        service = HistoryService(store, default_registry=parse_registry(default_registry))
        page = service.page(Target(slug=slug, registry=registry), limit=limit)
    if as_json:
        print_json(page.document)
        return
    for item in page.document:
        what = item["op"] + (f" of {item['restored_from']}" if "restored_from" in item else "")
        labels = f"  [{', '.join(item['labels'])}]" if "labels" in item else ""
        line = f"v{item['version']:<5} {_when(item['at_ms'])}  {what:<14} {item['actor']}"
        click.echo(printable(line + (f": {item['reason']}" if "reason" in item else "") + labels))


@click.command()
@click.argument("slug")
@click.argument("older", metavar="[FROM]", required=False)
@click.argument("newer", metavar="[TO]", required=False)
@registry_option
@store_options
@default_registry_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, with a JSON Patch, as the route `diff` answers.")
def diff(
    slug: str,
    older: str | None,
    newer: str | None,
    registry: str | None,
    default_registry: str,
    as_json: bool,
    **where: Any,
) -> None:
    """Show what is different between two versions of SLUG, each a number or a label.

    TO is by default the newest version, FROM the one before it.
    """
    with opened_store(**where) as store, every_problem_told():
        service = HistoryService(store, default_registry=parse_registry(default_registry))
        found = service.diff(Target(slug=slug, registry=registry), older=older, newer=newer)
    if as_json:
        print_json(found)
    elif found["text"]:
        click.echo(found["text"])


@click.command("restore-version")
@click.argument("slug")
@click.argument("version")
@registry_option
@click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
@store_options
@default_registry_option
@click.option("--json", "as_json", is_flag=True, help="The profile as JSON.")
@click.pass_obj
def restore_version(
    host: Host,
    /,
    slug: str,
    version: str,
    registry: str | None,
    reason: str | None,
    default_registry: str,
    as_json: bool,
    **where: Any,
) -> None:
    """Make VERSION of SLUG, a number or a label, its newest version again, also where SLUG was deleted.

    The installed plugins check it as they check any write. Servers that have the database open serve it at once.
    """
    with writable_profiles(host, parse_registry(default_registry), **where) as (_, writes), every_problem_told():
        body = msgspec.json.encode({} if reason is None else {"reason": reason})
        row = writes.restore(Target(slug=slug, registry=registry), version, body, author=cli_author()).row
    if as_json:
        print_json(msgspec.Raw(row.document))
    else:
        click.echo(f'profile "{row.slug}" in registry "{row.registry}" is version {row.version}, as {version} was')


def _when(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"  # a damaged row may say anything
