"""`pinocchio profiles plan`: what would change if files were applied."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from pinocchio_core.cli.backups import print_json, shown_progress
from pinocchio_core.cli.options import store_options
from pinocchio_core.cli.stores import opened_store, plugins_told
from pinocchio_core.domain.diffs import Operation
from pinocchio_core.errors import FileProblem, FilesRefused
from pinocchio_core.host.host import Host
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.files.filed import FiledRegistries, found_in
from pinocchio_core.service.files.plans import Plan, Planner, Step
from pinocchio_core.store.store import Store

_MARKS = {"create": "+", "change": "~", "delete": "-"}
_WIDEST = 200

files_argument = click.argument("files", metavar="DIR|FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
prune_option = click.option("--prune", is_flag=True, help="Also delete profiles that the files do not have.")


@click.command()
@files_argument
@store_options
@prune_option
@click.option("--json", "as_json", is_flag=True, help="The plan, or what is wrong, as a JSON object.")
@click.pass_obj
def plan(host: Host, /, files: tuple[Path, ...], prune: bool, as_json: bool, **where: Any) -> None:
    """Show what would change if these files were applied; nothing is written.

    A file holds a registry with its profiles. A folder has a file for each profile and a _registry.yaml, or it has such
    files and folders in it. Only registries that the files name are looked at.

    Exit status: 0 where there is nothing to do, 2 where there is something, 1 where the files cannot be applied.
    """
    with opened_store(**where) as store, plugins_told(host, store):
        made = planned(store, host, files, prune=prune, as_json=as_json)
    if as_json:
        print_json(plan_document(made))
    else:
        print_plan(made)
    if made.steps:
        raise SystemExit(2)


def planned(store: Store, host: Host, files: Sequence[Path], *, prune: bool, as_json: bool) -> Plan:
    """The plan for these files; where they cannot be applied the command ends, with `as_json` saying why as JSON."""
    validation = Validation(host)
    try:
        problems: list[FileProblem] = []
        with shown_progress("reading") as progress:
            found = found_in(files, problems, progress=progress)
        with shown_progress("checking") as progress:
            described = FiledRegistries(validation).checked(found, problems, progress=progress)
        with shown_progress("comparing") as progress:
            return Planner(store, validation).plan(described, prune=prune, progress=progress)
    except FilesRefused as error:
        if not as_json:
            raise
        print_json(
            {"problems": [{**msgspec.structs.asdict(problem), "file": str(problem.file)} for problem in error.problems]}
        )
        raise SystemExit(1) from error


def plan_document(made: Plan) -> dict[str, Any]:
    """A plan as JSON."""
    steps = [
        {
            "op": step.op,
            "registry": step.registry,
            "slug": step.slug,
            "version": step.version,
            "file": str(step.part.file.path),
            "patch": step.patch(),
        }
        for step in made.steps
    ]
    return {"steps": steps, "unchanged": made.unchanged}


def print_plan(made: Plan) -> None:
    """A plan for people."""
    for step in made.steps:
        kind = "profile" if step.slug else "registry"
        seen = f" v{step.version}" if step.slug and step.version else ""
        click.echo(f"{_MARKS[step.op]} {step.op} {kind} {step.name}{seen}  ({step.part.file.path})")
        for line in _lines(step):
            click.echo(f"    {line}")
    counts = ", ".join(f"{sum(step.op == op for step in made.steps)} to {op}" for op in _MARKS)
    click.echo(f"{counts}, {made.unchanged} unchanged" if made.steps else f"nothing to do, {made.unchanged} unchanged")


def _lines(step: Step) -> Iterator[str]:
    if step.op != "change":
        return
    if step.before is None:
        yield "what is stored is damaged and would be replaced"
        return
    before = step.written_before()
    for operation in step.patch():
        yield from _operation_lines(operation, _at(before, operation["path"]))


def _operation_lines(operation: Operation, old: Any) -> Iterator[str]:
    path, op, new = operation["path"], operation["op"], operation.get("value")
    if op == "replace" and isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield f"~ {path}:"
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
        yield from (f"    {_printable(line)}" for line in list(lines)[2:])
    elif op == "replace":
        yield f"~ {path}: {_shown(old)} → {_shown(new)}"
    else:
        yield f"+ {path}: {_shown(new)}" if op == "add" else f"- {path}: {_shown(old)}"


def _at(document: Any, pointer: str) -> Any:
    """The value at a JSON Pointer, `None` where it is not there any more or not there yet."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(key)] if int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    return document


def _shown(value: Any) -> str:
    text = _printable(msgspec.json.encode(value).decode())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in text)
