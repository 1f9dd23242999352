"""What the operator sets for middlewares, over what profiles say: a file, environment variables, options.

Everything is checked when the program starts, so that a slip is a message then and not in the middle of a chat.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from pinocchio_core.domain.merging import Layer
from pinocchio_core.domain.profile import MiddlewareUse
from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import SettingsError
from pinocchio_core.host.catalog import Catalog, MiddlewareEntry
from pinocchio_core.host.defaults import subschema

PREFIX: Final = "PINOCCHIO_MW_"
OPTION: Final = "--middleware-config"
_OPTION = re.compile(r"([^#.=]+)(?:#([^.=]+))?\.([^=]+)=(.*)", re.DOTALL)
_BOOLEANS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class _Setting(Struct, frozen=True):
    """One layer for the uses of a middleware; `use_id` is `None` where it is for all of them."""

    name: str
    use_id: str | None
    layer: Layer


class OperatorConfigs:
    """The layers between a profile's config and a request's, in their order."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        file: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        options: Sequence[str] = (),
    ) -> None:
        """`options` are `NAME[#ID].PATH=VALUE`.

        Raises:
            SettingsError: one of them names what does not exist, or has a value that does not fit.
        """
        self._catalog = catalog
        self._settings = [
            *(self._of_file(file) if file else ()),
            *self._of_environment(environment),
            *map(self._of_option, options),
        ]

    def layers(self, use: MiddlewareUse) -> Iterator[Layer]:
        """What is set for a use, the lowest first; of one source what is for all uses comes before what is for one."""
        for source in ("file", "environment", "flag"):
            mine = [each for each in self._settings if each.layer.source == source and each.name == use.name]
            yield from (each.layer for each in mine if each.use_id is None)
            yield from (each.layer for each in mine if each.use_id is not None and _same_id(each, use))

    def _entry(self, name: str, what: str) -> MiddlewareEntry:
        entry = self._catalog.middlewares.get(name)
        if entry is None:
            known = ", ".join(sorted(self._catalog.middlewares)) or "none"
            raise SettingsError(f"{what}: unknown middleware {shown(name)}", next_step=f"known: {known}")
        return entry

    def _of_file(self, path: Path) -> Iterator[_Setting]:
        import tomllib  # few servers have such a file

        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"--config {path}: {error}", next_step="name a readable file in TOML") from error
        unknown = sorted(document.keys() - {"middlewares"})
        if unknown:
            raise SettingsError(f"--config {path}: unknown table {shown(unknown[0])}", next_step="known: middlewares")
        tables = document.get("middlewares", {})
        if not isinstance(tables, dict):
            raise SettingsError(f"--config {path}: middlewares is no table", next_step="write [middlewares.<name>]")
        for key, config in tables.items():
            what = f"--config {path}, middlewares.{key}"
            name, _, use_id = key.partition("#")
            self._entry(name, what)
            if not isinstance(config, dict):
                raise SettingsError(f"{what} is no table", next_step=f'write [middlewares."{key}"]')
            try:
                plain = msgspec.json.decode(msgspec.json.encode(config))
            except TypeError as error:
                raise SettingsError(f"{what}: {error}", next_step="use values that JSON has too") from error
            yield _Setting(name, use_id or None, Layer("file", what.removeprefix("--config "), plain))

    def _of_environment(self, environment: Mapping[str, str]) -> Iterator[_Setting]:
        for variable in sorted(environment):
            if not variable.startswith(PREFIX) or not environment[variable].strip():
                continue
            head, *path = variable.removeprefix(PREFIX).split("__")
            named = [name for name in self._catalog.middlewares if _matches(head, name)]
            if not named or not path:
                raise SettingsError(
                    f"{variable} names no middleware and value",
                    next_step=f"write {PREFIX}<NAME>[_<ID>]__<PATH>; known names: "
                    + (", ".join(sorted(self._catalog.middlewares)) or "none"),
                )
            name = max(named, key=len)
            use_id = head[len(_upper(name)) + 1 :] or None
            keys = self._keys(self._entry(name, variable), path, variable)
            yield _Setting(name, use_id, self._layer("environment", variable, name, keys, environment[variable]))

    def _of_option(self, text: str) -> _Setting:
        found = _OPTION.fullmatch(text)
        what = f"{OPTION} {shown(text.partition('=')[0])}"  # what comes after it may be a secret
        if found is None:
            raise SettingsError(f"{what} is none", next_step="write NAME[#ID].PATH=VALUE, as sqlite.max_rows=50")
        name, use_id, path, value = found.groups()
        entry = self._entry(name, what)
        keys = path.split(".")
        if subschema(entry.schema.schema, keys) is None and not _open(entry, keys):
            raise SettingsError(f"{what}: the config of {name} has no {path}", next_step=_known(entry, keys[:-1]))
        return _Setting(name, use_id, self._layer("flag", f"{OPTION} {text.partition('=')[0]}", name, keys, value))

    def _keys(self, entry: MiddlewareEntry, path: Sequence[str], variable: str) -> list[str]:
        """The keys in a config that a variable's path, in capitals, means."""
        keys: list[str] = []
        for part in path:
            within = subschema(entry.schema.schema, keys) or {}
            properties = within.get("properties", {})
            named = [key for key in properties if _upper(key) == part.upper()]
            if not named and within.get("additionalProperties", True) is False:
                name = entry.definition.name
                raise SettingsError(
                    f"{variable}: the config of {name} has no {'.'.join([*keys, part.lower()])}",
                    next_step=_known(entry, keys),
                )
            keys.append(named[0] if named else part.lower())
        return keys

    def _layer(self, source: str, what: str, name: str, keys: Sequence[str], text: str) -> Layer:
        entry = self._catalog.middlewares[name]
        schema = subschema(entry.schema.schema, list(keys)) or {}
        told = "the value" if entry.schema.has_secrets else shown(text)
        value = _at(keys, _parsed(text, schema.get("type"), what, told=told))
        return Layer(source, what, value)


def _at(keys: Sequence[str], value: Any) -> Any:
    """A config with this value at these keys."""
    for key in reversed(keys):
        value = {key: value}
    return value


def _parsed(text: str, kind: Any, what: str, *, told: str) -> Any:
    """The text as a value of the schema's type; where that is open, as JSON if it is some, else as text.

    Messages show `told` in its place.
    """
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds:
        return text
    if kind == "boolean":
        if text.strip().lower() not in _BOOLEANS:
            raise SettingsError(f"{what}: {told} is no boolean", next_step="write true or false")
        return _BOOLEANS[text.strip().lower()]
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        if kind is None:
            return text
        raise SettingsError(f"{what}: {told} is no {kind}", next_step="write the value as JSON") from None


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _matches(head: str, name: str) -> bool:
    return head.upper() == _upper(name) or head.upper().startswith(_upper(name) + "_")


def _same_id(setting: _Setting, use: MiddlewareUse) -> bool:
    if setting.layer.source == "environment":
        return use.id is not None and _upper(use.id) == (setting.use_id or "").upper()
    return use.id == setting.use_id


def _open(entry: MiddlewareEntry, keys: list[str]) -> bool:
    """Whether the schema lets an object have members that it does not name."""
    within = subschema(entry.schema.schema, keys[:-1])
    return within is None or within.get("additionalProperties", True) is not False


def _known(entry: MiddlewareEntry, keys: list[str]) -> str:
    within = subschema(entry.schema.schema, keys) or {}
    return f"known: {', '.join(within.get('properties', {})) or 'none'}"
