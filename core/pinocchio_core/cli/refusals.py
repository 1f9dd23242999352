"""What the command line says of requests that are refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from pinocchio_core.errors import InvalidRequest


@contextmanager
def every_problem_told() -> Iterator[None]:
    """Where the block finds a request invalid, print each of its problems on a line of its own, and end with 1."""
    try:
        yield
    except InvalidRequest as error:
        for problem in error.problems:
            click.echo(f"pinocchio: {problem.field}: {problem.reason}", err=True)
        if error.next_step:
            click.echo(f"  → {error.next_step}", err=True)
        raise SystemExit(1) from error
