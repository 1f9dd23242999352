"""`pinocchio chat`: a conversation in a terminal, with a running server or alone."""

import http.client
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from pinocchio_core.bootstrap import More
from pinocchio_core.cli.options import default_registry_option, engine_options, operator_options, store_options
from pinocchio_core.cli.serving import served
from pinocchio_core.errors import SettingsError
from pinocchio_core.host.host import Host
from pinocchio_core.settings import parse_engine, parse_registry, parse_store, parse_turns
from pinocchio_core.settings.access import TOKEN_VARIABLE, parse_token

_TIMEOUT_S = 120
_GREY = "bright_black"


@click.command()
@click.option("--profile", metavar="SLUG", help="The profile; default: that of the registry.")
@click.option("--registry", metavar="SLUG", help="Its registry; default: that of the server.")
@click.option("--conv", metavar="ID", help="The conversation that goes on; default: a new one.")
@click.option("--server", metavar="URL", help="A running server, such as http://127.0.0.1:8080; none is needed.")
@click.option(
    "--token-file",
    envvar="PINOCCHIO_TOKEN_FILE",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help=f"With --server: a file with the token to send; wins over the variable {TOKEN_VARIABLE}.",
)
@store_options
@default_registry_option
@operator_options
@engine_options
@click.option("--turns-db", metavar="PATH", help="Alone: the database of conversations; default: beside the profiles.")
@click.pass_obj
def chat(
    host: Host,
    /,
    profile: str | None,
    registry: str | None,
    conv: str | None,
    server: str | None,
    token_file: Path | None,
    **alone: Any,
) -> None:
    """Chat with a profile: one line is one message; an empty line or the end of the input ends it.

    With --server it talks to that one, and the other options are that server's business. Without, it needs none: it
    opens the database itself. Exit status: 0, 1 where the last turn failed or nobody answered, 2 where the command is
    wrong.
    """
    asked = {"profile": profile, "registry": registry, "conv_id": conv}
    fields = {name: value for name, value in asked.items() if value}
    token = parse_token(token_file) if server else None
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with _reached(host, server, alone) as url:
        failed = False
        for prompt in _prompts():
            failed, conv_id = _turn(url, {**fields, "prompt": prompt, "stream": True}, headers)
            fields |= {"conv_id": conv_id} if conv_id else {}
        if fields.get("conv_id"):
            click.secho(f"conversation {fields['conv_id']}", fg=_GREY, err=True)
    if failed:
        click.get_current_context().exit(1)


def _reached(host: Host, server: str | None, alone: dict[str, Any]) -> AbstractContextManager[str]:
    """The URL of the server: the one that was named, or one of our own for as long as the block runs."""
    if server:
        parts = urlsplit(server)
        if parts.scheme != "http" or not parts.hostname:
            raise SettingsError(
                f"--server {server!r} is no http URL", next_step="write for example http://127.0.0.1:8080"
            )
        return nullcontext(server.rstrip("/"))
    dsn = parse_store(alone["profile_registry_db"], alone["profile_registry_dsn"])
    engine = parse_engine(
        alone["engine"],
        alone["engine_base_url"],
        alone["engine_model"],
        alone["engine_api_key_file"],
        alone["engine_allow_origin"],
    )
    more = More(
        config=alone["config"],
        middleware_configs=alone["middleware_configs"],
        turns=parse_turns(alone["turns_db"]),
        engine=engine,
    )
    return served(host, dsn, parse_registry(alone["default_registry"]), more)


def _prompts() -> Iterator[str]:
    """What the user says, until an empty line; the prompt is only shown on a terminal."""
    while True:
        if sys.stdin.isatty():
            click.secho("> ", nl=False, fg="green", err=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        yield line.rstrip("\n")


def _turn(url: str, request: dict[str, Any], headers: dict[str, str]) -> tuple[bool, str | None]:
    """Run one turn and print it as it comes; whether it failed, and its conversation."""
    parts = urlsplit(url)
    conv_id, failed = None, True
    try:
        with closing(
            http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_S)
        ) as connection:
            connection.request("POST", f"{parts.path}/chat", msgspec.json.encode(request), headers)
            answer = connection.getresponse()
            if answer.getheader("Content-Type") != "text/event-stream":
                _tell_problem(msgspec.json.decode(answer.read()))
                return True, None
            for name, data in _events(answer):
                conv_id = data.get("conv_id", conv_id)
                failed = name != "done"
                _show(name, data)
    except KeyboardInterrupt:
        click.secho("\n(given up)", fg=_GREY, err=True)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        click.echo(f"pinocchio: {url} does not answer as it should: {error}", err=True)
    return failed, conv_id


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in answer:
        field, _, value = line.rstrip(b"\r\n").partition(b": ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            yield name, msgspec.json.decode(value)


def _show(name: str, data: dict[str, Any]) -> None:
    if name == "delta":
        click.echo(_printable(data["text"]), nl=False)
    elif name == "done":
        click.echo()
    elif name == "error":
        click.echo()
        _tell_problem(data)
    elif name != "start":
        click.secho(f"[{name}] {_printable(msgspec.json.encode(data).decode())}", fg=_GREY, err=True)


def _tell_problem(problem: dict[str, Any]) -> None:
    click.echo(f"pinocchio: {_printable(str(problem.get('detail') or problem.get('title')))}", err=True)
    if problem.get("next_step"):
        click.echo(f"  → {problem['next_step']}", err=True)


def _printable(text: str) -> str:
    """The text without what would steer the terminal: a model may say anything."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
