"""Plain scalars of YAML 1.2's core schema, as JSON text and back.

What has no quotes is `null`, a boolean, a number or else a string: `yes`, `on` and dates are strings. A number that is
one in JSON too keeps its spelling, so that `1`, `1.0` and `1.50` come back as they were written.
"""

import json
import re
from typing import Final

_KEYWORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), "null"),
    **dict.fromkeys(("true", "True", "TRUE"), "true"),
    **dict.fromkeys(("false", "False", "FALSE"), "false"),
}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LOOKS_LIKE_MORE = re.compile(r"[-+.0-9]")
_OLD_KEYWORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "=", "<<", "!", "&", "*"})
_LONGEST_NUMBER = 400

encode_text = json.JSONEncoder(ensure_ascii=False).encode
"""A string as JSON text."""


def json_of_plain(text: str) -> str:
    """A scalar without quotes as JSON text.

    Raises:
        ValueError: it is a number that JSON does not have.
    """
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if not _LOOKS_LIKE_MORE.match(text):
        return encode_text(text)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is no number that a profile can hold; quote it where a text is meant")
    if not _FLOAT.fullmatch(text) and not _INTEGER.fullmatch(text):
        return encode_text(text)
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters; quote it where a text is meant")
    if _JSON_NUMBER.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text):
        return str(int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)))
    return _respelled(text)


def is_text_without_quotes(text: str) -> bool:
    """Whether every reader of YAML takes `text`, written without quotes, for a string; also one of YAML 1.1."""
    return text not in _KEYWORDS and text.lower() not in _OLD_KEYWORDS and not _LOOKS_LIKE_MORE.match(text)


def _respelled(text: str) -> str:
    """A number in the spelling of JSON: no plus sign, no leading zeros, digits on both sides of the point."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("+-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}.{fraction or '0'}" + (f"e{exponent}" if exponent else "")
