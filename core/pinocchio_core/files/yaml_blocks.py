"""YAML text in blocks: the entries of one mapping as the lines that they are, each with the comments above it."""

from dataclasses import dataclass
from typing import Any

from pinocchio_core.domain import paths
from pinocchio_core.files.yaml_text import lines_of


@dataclass(frozen=True)
class Blocks:
    """A text around the entries of a mapping in block style."""

    before: str
    entries: dict[str, tuple[str, str]]
    """The comments above each entry, and its lines, by key."""
    after: str
    indent: int

    def joined(self, bodies: dict[str, str], added: str) -> str:
        """The text with these entries out of its own, in their order, and what was added after them."""
        kept = [self.entries[key][0] + body for key, body in bodies.items()]
        end = "" if not kept or kept[-1].endswith("\n") else "\n"
        return f"{self.before}{''.join(kept)}{end}{self.indented(added)}{self.after}"

    def dedented(self, body: str) -> str:
        """An entry as a text of its own."""
        prefix = " " * self.indent
        return "".join(line.removeprefix(prefix) for line in body.splitlines(keepends=True))

    def indented(self, text: str) -> str:
        """A text of its own as an entry."""
        prefix = " " * self.indent
        return "".join(prefix + line if line.strip() else line for line in text.splitlines(keepends=True))


def blocks_of(text: str, name: str, written: dict[str, Any]) -> Blocks | None:
    """The entries of the mapping `name` in a text that says `written`; `None` where they are not in block style."""
    where, lines = lines_of(text), text.splitlines(keepends=True)
    starts = [where[paths.join(name, key)] - 1 for key in written[name]]
    later = [where[paths.of([key])] - 1 for key in written if where[paths.of([key])] - 1 > where[name] - 1]
    indent = _indent(lines[starts[0]])
    if not indent or starts != sorted(set(starts)) or {_indent(lines[start]) for start in starts} != {indent}:
        return None
    ends = [*starts[1:], min(later, default=len(lines))]
    bodies_end = [_end_of_body(lines, start, end, indent) for start, end in zip(starts, ends, strict=True)]
    entries, above = {}, where[name]
    for key, start, end in zip(written[name], starts, bodies_end, strict=True):
        entries[key] = ("".join(lines[above:start]), "".join(lines[start:end]))
        above = end
    return Blocks("".join(lines[: where[name]]), entries, "".join(lines[above:]), indent)


def _end_of_body(lines: list[str], start: int, end: int, indent: int) -> int:
    """Where the comments and blank lines above the next entry begin; what is indented deeper belongs to this one."""
    while end > start + 1 and _is_between(lines[end - 1], indent):
        end -= 1
    return end


def _is_between(line: str, indent: int) -> bool:
    return not line.strip() or (line.lstrip().startswith("#") and _indent(line) <= indent)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
