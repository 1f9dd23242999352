"""YAML that people like to review: long texts as blocks, quotes where any reader could take a text for something else.

`ruamel.yaml` writes it, because it alone keeps comments and the order of keys of a text that it has read. What it
wrote is read again, and is the same or is not used.
"""

import io
from collections.abc import Callable
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from pinocchio_core.files.documents import Number, json_of, plain_json
from pinocchio_core.files.scalars import is_text_without_quotes
from pinocchio_core.files.yaml_blocks import blocks_of
from pinocchio_core.files.yaml_text import Flaw, json_of_yaml

_WIDEST = 1 << 20
PROFILES: Final = "profiles"
"""The mapping whose entries are changed one by one, so that nothing else in a text is."""


def yaml_of(document: dict[str, Any]) -> str:
    """A document as YAML text."""
    text = _dumped(_tree(document))
    if not _says(text, document):
        raise AssertionError("YAML was written that does not say what it should")
    return text


def yaml_over(text: str, document: dict[str, Any]) -> str:
    """`text` so that it says what `document` does, with the comments and the order of what is still there."""
    written = plain_json(json_of_yaml(text))
    if json_of(written) == json_of(document):
        return text
    spliced = _spliced(text, written, document)
    if _says(spliced, document):
        return spliced
    try:
        text = _changed(spliced, document)
    except Exception:  # noqa: BLE001  ruamel raises anything for a text that it takes for something else than YAML 1.2 does
        return yaml_of(document)
    return text if _says(text, document) else yaml_of(document)


def _changed(text: str, document: dict[str, Any]) -> str:
    """`text` changed as far as `document` is another one."""
    tree = _yaml().load(text)
    if not isinstance(tree, CommentedMap):
        return text
    _update_map(tree, plain_json(json_of_yaml(text)), document)
    return _dumped(tree)


def _spliced(text: str, written: dict[str, Any], document: dict[str, Any]) -> str:
    """`text` with the profiles of `document`; those that are the same keep their lines. `text` where that cannot be."""
    old, new = written.get(PROFILES), document.get(PROFILES)
    blocks = blocks_of(text, PROFILES, written) if old and new else None
    if blocks is None or not old or not new:
        return text
    bodies = {}
    for key in (key for key in old if key in new):
        body = blocks.entries[key][1]
        if json_of(old[key]) != json_of(new[key]):
            body = blocks.indented(yaml_over(blocks.dedented(body), {key: new[key]}))
        bodies[key] = body
    added = {key: value for key, value in new.items() if key not in old}
    spliced = blocks.joined(bodies, yaml_of(added) if added else "")
    return spliced if _says(spliced, written | {PROFILES: new}) else text


def _says(text: str, document: dict[str, Any]) -> bool:
    try:
        return json_of(plain_json(json_of_yaml(text))) == json_of(document)
    except Flaw:
        return False


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.width, yaml.allow_unicode, yaml.preserve_quotes = _WIDEST, True, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    return yaml


class _Constructor(RoundTripConstructor):
    """What looks like a date or a number and is none, such as `2026-02-30` or `0x_`, is a text, as in YAML 1.2."""


def _or_text(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def constructed(constructor: Any, node: Any) -> Any:
        try:
            return construct(constructor, node)
        except (ValueError, IndexError, OverflowError):
            return constructor.construct_scalar(node)

    return constructed


for _kind in ("int", "float", "timestamp"):
    _tag = f"tag:yaml.org,2002:{_kind}"
    _Constructor.add_constructor(_tag, _or_text(RoundTripConstructor.yaml_constructors[_tag]))


class _Representer(RoundTripRepresenter):
    """Numbers in the spelling that they came in."""


def _represent_number(representer: Any, number: Number) -> Any:
    kind = "int" if number.lstrip("-").isdigit() else "float"
    return representer.represent_scalar(f"tag:yaml.org,2002:{kind}", str(number))


def _represent_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(Number, _represent_number)
_Representer.add_representer(type(None), _represent_null)


def _dumped(tree: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def _update_map(tree: CommentedMap, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Make `tree`, which says `old`, say `new`."""
    by_text = {str(key): key for key in tree}
    for text, key in by_text.items():
        if text not in new:
            del tree[key]
    for text, value in new.items():
        key = by_text.get(text)
        if key is None or text not in old:
            tree[_text(text)] = _tree(value)
        elif json_of(old[text]) != json_of(value):
            tree[key] = _updated(tree[key], old[text], value)


def _update_list(tree: CommentedSeq, old: list[Any], new: list[Any]) -> None:
    for index in reversed(range(len(new), len(old))):
        del tree[index]
    for index, value in enumerate(new):
        if index >= len(old):
            tree.append(_tree(value))
        elif json_of(old[index]) != json_of(value):
            tree[index] = _updated(tree[index], old[index], value)


def _updated(tree: Any, old: Any, new: Any) -> Any:
    if isinstance(tree, CommentedMap) and isinstance(new, dict):
        _update_map(tree, old, new)
        return tree
    if isinstance(tree, CommentedSeq) and isinstance(new, list):
        _update_list(tree, old, new)
        return tree
    value = _tree(new)
    comment = getattr(tree, "comment", None)
    if comment is not None and isinstance(value, LiteralScalarString):
        value.comment = comment  # type: ignore[attr-defined]  # its slot for what follows the block
    return value


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        tree = CommentedMap()
        for key, item in value.items():
            tree[_text(key)] = _tree(item)
        return tree
    if isinstance(value, list):
        return CommentedSeq([_tree(item) for item in value])
    return value if isinstance(value, Number) or not isinstance(value, str) else _text(value)


def _text(text: str) -> Any:
    if "\n" in text and not text[0].isspace() and all(char.isprintable() or char in "\n\t" for char in text):
        return LiteralScalarString(text)
    plain = text.isprintable() and is_text_without_quotes(text)
    return text if plain else DoubleQuotedScalarString(text)
