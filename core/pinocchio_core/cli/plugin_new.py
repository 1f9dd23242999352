"""`pinocchio plugins new`: a package of one's own with one plugin, which passes its tests as it is."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click

from pinocchio_core.cli.blueprint import KINDS, Blueprint
from pinocchio_core.errors import StartupError
from pinocchio_core.host.host import Host

_AGAIN: Final = "make room or choose another folder, and try again; nothing was left behind"


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), default="middleware", show_default=True, help="What it has.")
@click.option("--directory", type=click.Path(path_type=Path), metavar="DIR", help="Its folder; default: NAME, here.")
@click.pass_obj
def new(host: Host, /, name: str, kind: str, directory: Path | None) -> None:
    """Write a package NAME with a plugin of that name, which passes its own tests; then change it into yours.

    Nothing that is there already is overwritten. Exit status: 0 where it is written, 1 where the disk does not take it,
    2 where the name cannot be used or the folder exists.
    """
    taken = _owner(host, name)
    if taken:
        raise click.BadParameter(f"the name is that of a plugin of {taken}", param_hint="NAME")
    try:
        blueprint = Blueprint(name, kind)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    target = directory or Path(name)
    with _made(target):
        for path, text in blueprint.files().items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    click.echo(f"{target}: the package {name} with the {kind} {name}")
    click.echo(f"  → cd {target} && tox")


@contextmanager
def _made(target: Path) -> Iterator[None]:
    """A new folder for what the block writes; where that fails nothing of it is left, nor of the folders around it."""
    absent = [each for each in (target, *target.parents) if not os.path.lexists(each)]
    try:
        target.mkdir(parents=True)
    except OSError as error:
        _remove_empty(absent)
        exists = isinstance(error, FileExistsError)
        what = f"{target} exists already" if exists else f"{target}: {error.strerror}"
        raise click.BadParameter(what, param_hint="--directory") from None
    try:
        yield
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        _remove_empty(absent)
        if isinstance(error, OSError):
            raise StartupError(f"{target} cannot be written: {error.strerror}", next_step=_AGAIN) from None
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _owner(host: Host, name: str) -> str | None:
    """The distribution whose plugin has this name, or contributes something that has it."""
    for record, document in zip(host.records, host.documents(), strict=True):
        contributed = [each for names in document["contributes"].values() for each in names]
        if name == record.name or name in contributed:
            return record.distribution
    return None
