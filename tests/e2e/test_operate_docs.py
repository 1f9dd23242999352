"""The commands of docs/operate.md that are marked for it, run as they stand there."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/operate.md").read_text()
BLOCKS = re.findall(r"^<!-- (start|run) -->\n```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STARTS = [text for mark, text in BLOCKS if mark == "start"]
RUNS = [text for mark, text in BLOCKS if mark == "run"]


def test_every_mark_has_its_block():
    assert len(BLOCKS) == len(re.findall(r"^<!-- (?:start|run) -->$", PAGE, re.MULTILINE))
    assert len(STARTS) >= 2
    assert len(RUNS) >= 5


@pytest.mark.parametrize("start", STARTS, ids=["path", "dsn", "scheduled backups"])
def test_commands_of_the_page_do_what_it_says(serving, environment, tmp_path, start):
    missing = [command for command in ("bash", "curl", "jq", "sqlite3") if shutil.which(command) is None]
    if missing:
        pytest.skip(f"this machine has no {' and no '.join(missing)}")
    program, subcommand, *options = shlex.split(start.replace("\\\n", " "))
    assert (program, subcommand) == ("pinocchio", "web-chat")
    with serving(tmp_path, *options, PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        printed = [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text.replace("localhost:8080", f"localhost:{server.port}")],
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
            for text in RUNS
        ]

    assert all(printed)
    assert '"slug": "default"' in printed[0]
    assert "middleware.agentmode_config@v1" in printed[1]
    assert re.search(r"^default\|\d{13}$", printed[-1], re.MULTILINE)
