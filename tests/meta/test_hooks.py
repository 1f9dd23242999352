"""The hooks and records of plugins: documented, tested, and never changed in a way that breaks a plugin."""

import dataclasses
import inspect
import re
from pathlib import Path

import msgspec
import pytest

import pinocchio_core.plugin
from pinocchio_core.plugin import hookspecs

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/hooks.md").read_text()
GOLDEN = Path(__file__).with_name("plugin_api.txt")
HOOKS = {name: value for name, value in vars(hookspecs).items() if name.startswith("pinocchio_")}


def signature_of(name):
    return f"{name}({', '.join(inspect.signature(HOOKS[name]).parameters)})"


def described():
    """The API for plugins as text: hooks with their arguments, records with their fields."""
    lines = [f"hook {name}{inspect.signature(hook)}" for name, hook in HOOKS.items()]
    for name in pinocchio_core.plugin.__all__:
        value = getattr(pinocchio_core.plugin, name)
        if not inspect.isclass(value):
            lines.append(f"value {name}")
        elif dataclasses.is_dataclass(value):
            lines.append(f"record {name}")
            lines += [f"    {_dataclass_field(field)}" for field in dataclasses.fields(value)]
        elif issubclass(value, msgspec.Struct):
            lines.append(f"record {name}")
            lines += [f"    {_struct_field(field)}" for field in msgspec.structs.fields(value)]
        elif issubclass(value, Exception):
            lines.append(f"exception {name}{inspect.signature(value)}")
        else:
            lines.append(f"enumeration {name}")
            lines += [f"    {member.name} = {member.value!r}" for member in value]
    # how a class of the standard library is called depends on the version of Python
    return "\n".join(lines).replace("pathlib._local.", "pathlib.") + "\n"


def _dataclass_field(field):
    default = ""
    if field.default is not dataclasses.MISSING:
        default = f" = {field.default.__name__ if callable(field.default) else repr(field.default)}"
    elif field.default_factory is not dataclasses.MISSING:
        default = f" = {field.default_factory.__name__}()"
    return f"{'*, ' if field.kw_only else ''}{field.name}: {_type(field.type)}{default}"


def _struct_field(field):
    default = ""
    if field.default is not msgspec.NODEFAULT:
        default = f" = {field.default!r}"
    elif field.default_factory is not msgspec.NODEFAULT:
        default = f" = {field.default_factory.__name__}()"
    return f"*, {field.name}: {_type(field.type)}{default}"


def _type(kind):
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)


def test_hooks_are_documented_with_their_exact_signatures():
    headings = re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE)

    assert sorted(headings) == sorted(f"`{signature_of(name)}`" for name in HOOKS)


def test_hooks_are_documented_completely():
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]:
        name = section.partition("(")[0].strip("`")
        assert "- **Called** " in section, name
        assert "- **Returns** " in section, name
        assert "- **When it raises**" in section, name
        assert f"def {name}(" in section.split("```python")[1].split("```")[0], name


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL))
def test_examples_of_hooks_are_plugins(example):
    from types import ModuleType

    from pinocchio_core.testing import check_plugin

    module = ModuleType("example")
    exec(compile(example, "docs/hooks.md", "exec"), vars(module))  # noqa: S102  # the project's own document

    check_plugin(module)


def test_hooks_say_since_which_version_they_are_and_what_raising_does():
    for name, hook in HOOKS.items():
        assert "Since 0." in hook.__doc__, name
        assert "If it raises" in hook.__doc__, name


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_tested(name):
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path.resolve() != Path(__file__).resolve()]

    assert [path.name for path in tests if re.search(rf"\b{name}\b", path.read_text())]


def test_plugin_api_is_the_pinned_one():
    assert described() == GOLDEN.read_text(), (
        "the API for plugins has changed. Hooks, arguments and fields may only be appended, fields with a default;"
        f" anything else breaks plugins that are installed already. If you did append, correct {GOLDEN.name} too"
    )


def test_plugin_exports_are_the_pinned_ones():
    assert pinocchio_core.plugin.__all__ == [
        "Block",
        "BlockKind",
        "EngineDefinition",
        "EngineFailed",
        "EngineOptions",
        "Event",
        "ExtensionSchema",
        "Handler",
        "Metadata",
        "Middleware",
        "MiddlewareDefinition",
        "MiddlewareUse",
        "Policy",
        "Problem",
        "Profile",
        "ProfileChange",
        "ProfileSeed",
        "Runtime",
        "StartupInfo",
        "ToolDefinition",
        "Turn",
        "TurnCancelled",
        "hookimpl",
    ]
    assert all(hasattr(pinocchio_core.plugin, name) for name in pinocchio_core.plugin.__all__)
