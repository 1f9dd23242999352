"""Patterns of schemas, matched by RE2: in linear time, whatever the pattern and the text."""

import math
import re
from functools import lru_cache
from typing import Any

_MAX_SIZE = 5_000
"""Characters of a plain pattern times the bounds of its repetitions: far below what RE2 refuses."""

_REPEATED = re.compile(r"\{(\d{1,3})(?:,(\d{0,3}))?\}")
_PLAIN = re.compile(
    r"""(?!.*(?:--|~~))                    # Python warns of these
    (?:
      (?: [A-Za-z0-9_\ !"#%&',/:;<=>@`~-]   # a character for itself
        | [.^$|)] | \((?!\?)                # any character, ends, choices, groups without extensions
        | \\[dwsDWS$()*+./?\[\\\]^{|}-]     # kinds of characters, and punctuation for itself
        | \[\^?(?:[A-Za-z0-9_ !"#%'()*+,./:;<=>?@`~-]|\\[dws$()*+./?\[\\\]^{|}-])+\]
      )
      (?: [*+?] | \{\d{1,3}(?:,\d{0,3})?\} )?
    )*""",
    re.VERBOSE,
)


def fault_of(pattern: str) -> str:
    """What RE2 has against the pattern, empty where it has nothing.

    It has nothing against plain ones, so that a server with no others loads RE2, 2.5 MB, when it first matches one.
    """
    if _is_plain(pattern):
        return ""
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        return _text(error)
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern, which has no fault, is found anywhere in the text."""
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return re2.compile(pattern, options)


def _text(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _is_plain(pattern: str) -> bool:
    """Whether it is made of nothing but what both engines know, as far as its shape tells."""
    repeats = (int(each[2] or each[1]) for each in _REPEATED.finditer(pattern))
    if len(pattern) * math.prod(max(1, each) for each in repeats) > _MAX_SIZE or not _PLAIN.fullmatch(pattern):
        return False
    try:
        re.compile(pattern)  # groups are closed, ranges rise, something is there to repeat
    except (re.error, OverflowError, RecursionError):
        return False
    return True
