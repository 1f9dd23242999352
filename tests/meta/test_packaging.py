"""Facts that stand in two files and must agree."""

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


def test_no_module_outgrows_its_room():
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("core", "plugins", "contrib/agentmode/src")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }

    assert not long
