"""Checks of strings that become names, and of how many there are."""

from collections.abc import Iterator
from typing import Any, Final

from pinocchio_core.domain import limits, paths
from pinocchio_core.domain.references import parse_label, parse_pin, parse_reference
from pinocchio_core.domain.slugs import fold, has_control_characters, parse_slug, shown, trim
from pinocchio_core.errors import Problem

EXTENDS: Final = "runtime.extends"

_LINE_ENDS_AND_TABS = str.maketrans(dict.fromkeys("\r\n\t"))


def slug_problems(field: str, value: Any, *, what: str = "profile slug") -> Iterator[Problem]:
    """What is wrong with a slug; values that are no strings are the envelope's business, apart from none."""
    if value is not None and not isinstance(value, str):
        return
    try:
        parse_slug(value or "", what=what)
    except ValueError as error:
        yield Problem(field=field, reason=str(error))


def reference_problems(field: str, value: Any) -> Iterator[Problem]:
    """What is wrong with a `slug`, `slug@version` or `slug@label`; as `slug_problems` otherwise."""
    if value is not None and not isinstance(value, str):
        return
    try:
        parse_reference(value or "")
    except ValueError as error:
        yield Problem(field=field, reason=str(error))


def pin_problems(field: str, value: str) -> Iterator[Problem]:
    """What is wrong with a version or a label."""
    try:
        parse_pin(value)
    except ValueError as error:
        yield Problem(field=field, reason=str(error))


def label_problems(field: str, value: str) -> Iterator[Problem]:
    """What is wrong with a label."""
    try:
        parse_label(value)
    except ValueError as error:
        yield Problem(field=field, reason=str(error))


def registry_problems(field: str, value: Any) -> Iterator[Problem]:
    """What is wrong with the name of a registry; blank counts as absent."""
    if isinstance(value, str) and trim(value):
        yield from slug_problems(field, value, what="registry slug")


def name_problem(field: str, value: Any, *, limit: int = limits.MAX_NAME_LENGTH) -> Iterator[Problem]:
    """What is wrong with a string that names something."""
    if not isinstance(value, str):
        return
    if has_control_characters(trim(value)):
        yield Problem(field=field, reason=f"must not hold control characters, got {shown(value)}")
    if len(trim(value)) > limit:
        yield Problem(field=field, reason=f"must have at most {limit} characters, has {len(trim(value))}")


def reason_problem(field: str, value: Any) -> Iterator[Problem]:
    """What is wrong with the reason for a change; it may have several lines."""
    if not isinstance(value, str):
        return
    text = trim(value)
    if has_control_characters(text.translate(_LINE_ENDS_AND_TABS)):
        reason = f"must not hold control characters other than line ends and tabs, got {shown(text)}"
        yield Problem(field=field, reason=reason)
    if len(text) > limits.MAX_REASON_LENGTH:
        yield Problem(field=field, reason=f"must have at most {limits.MAX_REASON_LENGTH} characters, has {len(text)}")


def list_problems(field: str, value: Any, limit: int) -> Iterator[Problem]:
    """What is wrong with a list of names."""
    if not isinstance(value, list):
        return
    yield from count_problem(field, value, limit)
    for index, item in enumerate(value[:limit]):
        where = f"{field}[{index}]"
        if isinstance(item, str) and not trim(item):
            yield Problem(field=where, reason="must not be empty")
        yield from name_problem(where, item)


def count_problem(field: str, value: Any, limit: int) -> Iterator[Problem]:
    """Whether a list or an object has too many members."""
    if isinstance(value, list | dict) and len(value) > limit:
        yield Problem(field=field, reason=f"must have at most {limit} members, has {len(value)}")


def policy_problems(policy: Any) -> Iterator[Problem]:
    """What is wrong with the lists of a policy."""
    if not isinstance(policy, dict):
        return
    names: list[set[str]] = []
    for key in ("allowed_override_keys", "denied_override_keys"):
        yield from list_problems(f"policy.{key}", policy.get(key), limits.MAX_OVERRIDE_KEYS)
        listed = policy.get(key)
        names.append({trim(item) for item in listed if isinstance(item, str)} if isinstance(listed, list) else set())
    for name in sorted(names[0] & names[1] - {""}):
        yield Problem(field="policy.override_keys", reason=f"key {shown(name)} appears in both allow and deny lists")


def extends_problems(extends: Any) -> Iterator[Problem]:
    """What is wrong with references to profiles to build on, by themselves."""
    yield from count_problem(EXTENDS, extends, limits.MAX_EXTENDS)
    named: dict[tuple[str, str], str] = {}
    for index, base in enumerate(extends[: limits.MAX_EXTENDS] if isinstance(extends, list) else ()):
        if not isinstance(base, dict):
            continue
        where = f"{EXTENDS}[{index}]"
        registry, slug, label = (base.get(part) for part in ("registry", "slug", "label"))
        yield from registry_problems(f"{where}.registry", registry)
        yield from slug_problems(f"{where}.slug", slug)
        if isinstance(label, str) and trim(label):
            yield from label_problems(f"{where}.label", label)
            if base.get("version") is not None:
                yield Problem(field=f"{where}.label", reason="cannot be there beside a version; send one of the two")
        names = tuple(fold(part) if isinstance(part, str) else "" for part in (registry, slug))
        first = named.setdefault((names[0], names[1]), where)
        if first != where and names[1]:
            yield Problem(field=f"{where}.slug", reason=f"is the same profile as in {first}")


def settings_problems(settings: Any) -> Iterator[Problem]:
    """What is wrong with the names of sections of engine settings, and of the fields in them."""
    for section, fields in settings.items() if isinstance(settings, dict) else ():
        where = paths.join("runtime.step_settings_patch", section)
        yield from name_problem(where, section)
        for field in fields if isinstance(fields, dict) else ():
            yield from name_problem(paths.join(where, field), field)


def same_slug(sent: str, slug: str) -> bool:
    """Whether a slug in a body, if there is one, is the one in the path; both may say which version is meant."""
    try:
        return not trim(sent) or parse_reference(sent) == parse_reference(slug)
    except ValueError:
        return False


def conversation_problems(field: str, value: Any) -> Iterator[Problem]:
    """What is wrong with the id of a conversation, by which its URL is made."""
    yield from name_problem(field, value)
    if isinstance(value, str) and "/" in value:
        yield Problem(field=field, reason=f"must not have a slash, is {shown(value)}")
