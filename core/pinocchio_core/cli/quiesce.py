"""`pinocchio profiles quiesce`: a command of the operator's runs while nobody writes."""

import os
import signal
import subprocess
import sys
import time
from typing import Any, TextIO

import click

from pinocchio_core.cli.backups import print_json
from pinocchio_core.cli.options import store_options
from pinocchio_core.errors import DatabaseRefused, SettingsError
from pinocchio_core.settings import parse_store
from pinocchio_core.store.layouts.opening import open_database

TIMED_OUT = 124
"""The exit code of a command that was ended, as `timeout` has it."""


@click.command(context_settings={"ignore_unknown_options": True})
@store_options
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), default=60, show_default=True, metavar="SECONDS"
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON; COMMAND's output to standard error.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def quiesce(command: tuple[str, ...], timeout_s: float, as_json: bool, **where: Any) -> None:
    """Run COMMAND while the database file alone is complete and nobody writes it.

    Write the command after two dashes. Reads go on; writes wait, and are refused after their busy timeout. Exit
    status: the command's, 124 where it took longer than --timeout and was ended, 1 where readers or writers would not
    let go before it began or the database can only be read, 2 where this command is wrong.
    """
    dsn = parse_store(where["profile_registry_db"], where["profile_registry_dsn"])
    if dsn.path is None:
        raise SettingsError("a database in memory has no file", next_step="name a database file")
    if not dsn.path.exists():
        raise DatabaseRefused(f"there is no database at {dsn.path}", next_step="check the path")
    database = open_database(dsn).database
    try:
        with database.stillness():
            began = time.monotonic()
            code = _run(command, timeout_s, output=sys.stderr if as_json else None)
            took_s = time.monotonic() - began
    finally:
        database.close()
    if as_json:
        print_json({"database": str(dsn.path), "command": command, "exit_code": code, "seconds": round(took_s, 3)})
    click.get_current_context().exit(code)


def _run(command: tuple[str, ...], timeout_s: float, output: TextIO | None) -> int:
    try:
        process = subprocess.Popen(command, start_new_session=True, stdout=output)  # noqa: S603  it is the operator's own
    except OSError as error:
        raise DatabaseRefused(f"cannot run {command[0]}: {error.strerror}", next_step="check the command") from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        click.echo(f"pinocchio: {command[0]} took longer than {timeout_s:g} s and was ended", err=True)
        return TIMED_OUT
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
