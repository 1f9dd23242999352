"""`pinocchio profiles explain`: what a profile comes to, and where every value is from."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import default_registry_option, operator_options, registry_option, store_options
from pinocchio_core.cli.refusals import every_problem_told
from pinocchio_core.cli.stores import opened_store
from pinocchio_core.host.host import Host
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.resolving import ResolveService, resolution_document
from pinocchio_core.settings import parse_registry

_WIDEST = 60


@click.command()
@click.argument("slug")
@registry_option
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="As a request would, such as system_prompt=Hello or step_settings_patch.ai-chat.ai-engine=small. Repeatable.",
)
@store_options
@default_registry_option
@operator_options
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, as the route `resolve` answers.")
@click.pass_obj
def explain(
    host: Host,
    /,
    slug: str,
    registry: str | None,
    overrides: tuple[str, ...],
    default_registry: str,
    config: Path | None,
    middleware_configs: tuple[str, ...],
    as_json: bool,
    **where: Any,
) -> None:
    """Show what SLUG comes to: every value, which layer it is from, and what that layer went over."""
    operator = OperatorConfigs(host.catalog, file=config, environment=os.environ, options=middleware_configs)
    with opened_store(**where) as store, every_problem_told():
        service = ResolveService(store, host, operator, default_registry=parse_registry(default_registry))
        resolved = service.resolve(
            parse_registry(registry or default_registry), slug, _overrides(overrides), explain=True
        )
    document = resolution_document(resolved, explain=True)
    if as_json:
        print_json(document)
        return
    click.echo(f'profile "{resolved.slug}" in registry "{resolved.registry}", version {resolved.version}')
    click.echo(resolved.fingerprint)
    for leaf in resolved.explained():
        click.echo(f"{leaf.pointer} = {_shown(leaf.value)}")
        for layer in reversed(leaf.written_by):
            mark = "from" if layer is leaf.written_by[-1] else "over"
            click.echo(f"    {mark} {layer.source:<12} {_shown(layer.value):<{_WIDEST}} {layer.where}")
    for key, reason in resolved.refused.items():
        click.echo(f"refused: {key}: {reason}")


def _overrides(given: tuple[str, ...]) -> dict[str, Any]:
    """The overrides as a request has them: a dotted key goes into objects, a value is JSON where it is some."""
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{text!r} is none; write KEY=VALUE", param_hint="--override")
        *outer, last = key.strip().split(".")
        inside = found
        for step in outer:
            inside = inside.setdefault(step, {})
            if not isinstance(inside, dict):
                raise click.BadParameter(f"{text!r} goes into what is no object", param_hint="--override")
        inside[last] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
