"""Facts that stand in two files and must agree."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_lowest_requirements_are_the_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # the suite of the oldest versions does without the engine `local`, which has an env of its own
    declared = [*project["dependencies"], *project["optional-dependencies"]["openai"]]
    lowest = re.findall(r"^([\w.-]+==\S+)$", (ROOT / "tests/lowest-requirements.txt").read_text(), re.MULTILINE)

    assert sorted(lowest) == sorted(bound.replace(">=", "==") for bound in declared)


def test_agentmode_needs_this_version_of_the_core():
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    contrib = tomllib.loads((ROOT / "contrib/agentmode/pyproject.toml").read_text())["project"]["dependencies"]

    assert f"pinocchio-webchat>={core.rpartition('.')[0]},<1" in contrib


def test_ci_runs_the_command_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    command = readme.split("<!-- tests -->")[1].split("```")[1].removeprefix("bash\n").strip()

    assert "tox run" in command
    assert "<!-- tests -->" in (ROOT / ".ci/run").read_text()


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("core", "plugins", "contrib/agentmode/src")
    for path in (ROOT / folder).rglob("*.py")
}


def test_no_module_outgrows_its_room():
    long = {path: lines for path, text in SOURCES.items() if (lines := len(text.splitlines())) > 300}

    assert not long


def test_no_function_outgrows_its_room():
    long = {
        f"{path}:{function.lineno} {function.name}": statements
        for path, text in SOURCES.items()
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if (statements := sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1) > 40
    }

    assert not long


def test_no_limit_of_size_is_lifted_in_place():
    assert [path for path, text in SOURCES.items() if re.search(r"noqa:.*\b(C901|PLR09)", text)] == []
