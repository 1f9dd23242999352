"""What authors of plugins test with is pinned, documented, and does not change without a word in the changelog."""

import hashlib
import inspect
import re
from pathlib import Path

import pinocchio_core.testing
from pinocchio_core import pytest_plugin

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("testing_api.txt")
PINNED = (Path(__file__).with_name("plugin_api.txt"), GOLDEN)
GUIDE = (ROOT / "docs/write-a-plugin.md").read_text()
FIXTURES = sorted(re.findall(r"^@pytest\.fixture\ndef (\w+)", inspect.getsource(pytest_plugin), re.MULTILINE))


def described():
    """Functions with their arguments, classes with their public members, and fixtures."""
    lines = []
    for name in pinocchio_core.testing.__all__:
        value = getattr(pinocchio_core.testing, name)
        if not inspect.isclass(value):
            lines.append(f"function {name}({_arguments(value)})")
            continue
        lines.append(f"class {name}({_arguments(value)})")
        for member, inside in sorted(vars(value).items()):
            if not member.startswith("_"):
                arguments = f"({_arguments(inside)})" if inspect.isfunction(inside) else ""
                lines.append(f"    {member}{arguments}")
    return "\n".join(lines + [f"fixture {name}" for name in FIXTURES]) + "\n"


def _arguments(function):
    """The arguments without their types, which are written another way by other versions of Python."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature(parameters))[1:-1]


def test_testing_api_is_the_pinned_one():
    assert described() == GOLDEN.read_text(), (
        "what authors of plugins test with has changed. Names and arguments may only be added, arguments with a"
        f" default; anything else breaks tests of plugins. If you did add, correct {GOLDEN.name} too"
    )


def test_every_fixture_and_function_is_documented():
    assert len(FIXTURES) >= 5
    assert [name for name in FIXTURES if f"| `{name}` |" not in GUIDE] == []
    functions = [name for name in pinocchio_core.testing.__all__ if name.islower() and name != "defaults_of"]
    assert [name for name in functions if f"`{name}(" not in GUIDE] == []


def test_changelog_is_touched_when_the_public_api_changes():
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in PINNED)).hexdigest()[:16]
    said = re.findall(r"<!-- public API of plugins: (\w+) -->", (ROOT / "CHANGELOG.md").read_text())

    assert said == [digest], (
        f"the public API of plugins has changed ({' or '.join(path.name for path in PINNED)}): say in CHANGELOG.md what"
        f" authors of plugins have or need to know, and write there <!-- public API of plugins: {digest} -->"
    )
