"""`pinocchio plugins`: what is installed, and how it fares; the group of all that is done with plugins."""

import click
import msgspec

from pinocchio_core.cli.plugin_check import check
from pinocchio_core.cli.plugin_migrate import migrate
from pinocchio_core.cli.plugin_new import new
from pinocchio_core.host.host import Host


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON array.")
@click.pass_obj
def plugins(host: Host, as_json: bool) -> None:
    """List every plugin with its distribution and version, and what it contributes.

    The exit status is 1 where a plugin that should be active is not. With a COMMAND, do something else.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError(
                f"--json is of the list; write pinocchio plugins {context.invoked_subcommand} --json"
            )
        return
    documents = host.documents()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(documents), indent=2).decode())
    else:
        for record, document in zip(host.records, documents, strict=True):
            click.echo(record.line())
            for kind, names in document["contributes"].items():
                if names:
                    click.echo(f"{'':<20}  {kind}: {', '.join(names)}")
    if host.faults:
        context.exit(1)


for _command in (new, check, migrate):
    plugins.add_command(_command)
