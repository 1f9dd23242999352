"""`pinocchio tokens`: the file of those who may come in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.options import DURATION
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import SettingsError
from pinocchio_core.service.access.callers import Role, Token, digest_of, new_token, valid_name
from pinocchio_core.service.access.tokens import add_token, read_tokens, remove_token

_FILE = click.option(
    "--file",
    "path",
    envvar="PINOCCHIO_AUTH_TOKENS",
    show_envvar=True,
    required=True,
    type=click.Path(path_type=Path),
    help="The file, as for web-chat --auth-tokens.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def tokens() -> None:
    """Give tokens to those who may come in, and take them back.

    Servers see a change of the file within a second.
    """


@tokens.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What its holder may do.")
@click.option("--registry", "registries", multiple=True, metavar="SLUG", help="Limit it to this registry. Repeatable.")
@click.option("--expires", type=DURATION, help="When it ends, from now, such as 90d; default: never.")
@_FILE
@_JSON
def create(
    name: str, role: str, registries: tuple[str, ...], expires: float | None, path: Path, *, as_json: bool
) -> None:
    """Make a token for NAME and print it, once: the file has only its SHA-256.

    Exit status: 0, 2 where the command or the file is wrong; then nothing is changed.
    """
    if not valid_name(name):
        raise SettingsError(
            f"{name!r} is no name for a token", next_step="write 1 to 64 letters, digits and ._@-, such as ci.deploy"
        )
    now, secret = datetime.now(UTC).replace(microsecond=0), new_token()
    token = Token(
        name=name,
        role=Role(role),
        sha256=digest_of(secret),
        registries=tuple(dict.fromkeys(map(_registry, registries))) or None,
        created_at=now,
        expires_at=now + timedelta(seconds=expires) if expires else None,
    )
    add_token(path, token)
    if as_json:
        click.echo(msgspec.json.encode({"token": secret, **_told(token, now)}))
    else:
        click.echo(secret)
        click.echo(f'the token of "{name}", {token.role}; it is not shown again', err=True)


@tokens.command("list")
@_FILE
@_JSON
def list_(path: Path, *, as_json: bool) -> None:
    """List the tokens of the file, without what could be used of them."""
    now = datetime.now(UTC)
    rows = [_told(token, now) for token in read_tokens(path)]
    if as_json:
        click.echo(msgspec.json.encode(rows))
        return
    for row in rows:
        where = ", ".join(row["registries"]) if row.get("registries") else "all registries"
        end = f"until {row['expires_at']:%Y-%m-%d}" if row.get("expires_at") else "for ever"
        click.echo(f"{row['name']}  {row['role']}  {where}  {'has ended' if row['expired'] else end}")


@tokens.command()
@click.argument("name")
@_FILE
@_JSON
def revoke(name: str, path: Path, *, as_json: bool) -> None:
    """Take the token of NAME out of the file.

    Exit status: 0, 2 where there is none or the file is wrong; then nothing is changed.
    """
    remove_token(path, name)
    click.echo(msgspec.json.encode({"revoked": name}) if as_json else f'the token of "{name}" is valid no more')


def _told(token: Token, now: datetime) -> dict[str, Any]:
    """A token as it is listed."""
    return {
        "name": token.name,
        "role": token.role,
        "registries": token.registries,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "expired": token.expires_at is not None and token.expires_at <= now,
    }


def _registry(text: str) -> str:
    try:
        return parse_slug(text, what="registry slug")
    except ValueError as error:
        raise SettingsError(f"--registry: {error}", next_step="write for example default") from None
