"""`pinocchio plugins`: what is installed, and how it fares."""

import click
import msgspec

from pinocchio_core.host.host import Host


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything as a JSON array.")
@click.pass_obj
def plugins(host: Host, as_json: bool) -> None:
    """List every plugin with its distribution and version, and what it contributes.

    The exit status is 1 where a plugin that should be active is not.
    """
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
        click.get_current_context().exit(1)
