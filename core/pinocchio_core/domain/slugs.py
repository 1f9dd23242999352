"""Names: slugs of registries and profiles, keys of extensions, and what makes any string fit to be a name."""

import re

from msgspec import Struct

_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space property. `str.strip()` would also take U+001C to U+001F, which are no white space."""

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_PART = r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?"
_EXTENSION_KEY = re.compile(rf"({_PART})\.({_PART})@v([1-9][0-9]{{0,4}})")
_MIDDLEWARE_NAME = re.compile(_PART)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""

SLUG_RULE = 'use 1 to 128 of a-z, 0-9, ".", "_" and "-", starting and ending with a letter or digit'
EXTENSION_KEY_RULE = "use namespace.feature@vN, for example webchat.starter_suggestions@v1"


def trim(text: str) -> str:
    """`text` without the white space around it."""
    return text.strip(_WHITE_SPACE)


def fold(text: str) -> str:
    """`text` trimmed and lower-cased character by character, so that its length stays."""
    trimmed = trim(text)
    return trimmed.lower() if trimmed.isascii() else "".join(char.lower()[0] for char in trimmed)


def parse_slug(raw: str, *, what: str = "profile slug") -> str:
    """The canonical form of a registry's or profile's slug.

    Raises:
        ValueError: it is no slug; the text says why and names `what`.
    """
    if _SLUG.fullmatch(raw):
        return raw
    slug = fold(raw)
    if not _SLUG.fullmatch(slug):
        raise ValueError(f"invalid {what} {shown(raw)}: {SLUG_RULE}")
    return slug


class ExtensionKey(Struct, frozen=True):
    """A parsed extension key, `namespace.feature@vN`."""

    namespace: str
    feature: str
    version: int

    def __str__(self) -> str:
        return f"{self.namespace}.{self.feature}@v{self.version}"

    @property
    def middleware(self) -> str | None:
        """The middleware whose configs this extension holds, if it is of that kind."""
        if self.namespace != "middleware" or not self.feature.endswith("_config"):
            return None
        return self.feature.removesuffix("_config") or None


def parse_extension_key(raw: str) -> ExtensionKey:
    """The canonical form of an extension's key.

    Raises:
        ValueError: it is no extension key; the text says why.
    """
    match = _EXTENSION_KEY.fullmatch(fold(raw))
    if not match:
        raise ValueError(f"invalid extension key {shown(raw)}: {EXTENSION_KEY_RULE}")
    return ExtensionKey(match[1], match[2], int(match[3]))


def middleware_key(name: str, version: int) -> ExtensionKey:
    """The key of the extension that holds the configs of a middleware.

    Raises:
        ValueError: the name or version gives no legal key.
    """
    return parse_extension_key(f"middleware.{name}_config@v{version}")


def is_middleware_name(name: object) -> bool:
    """Whether `name` may name a middleware definition (case-sensitive)."""
    return isinstance(name, str) and _MIDDLEWARE_NAME.fullmatch(name) is not None


def has_control_characters(text: str) -> bool:
    """Whether `text` holds a control character, NUL and line ends included."""
    return _CONTROL.search(text) is not None


def shown(value: object, *, limit: int = 80) -> str:
    """`value` in double quotes for a message: escaped, and cut to `limit` characters."""
    text = str(value)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isprintable() and not _ESCAPES.keys() & cut:
        return f'"{cut}"'
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _escaped(char)) for char in cut) + '"'


def printable(text: str) -> str:
    """`text` with escapes for what would steer a terminal, line ends included."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}"
