"""The commands of pages in docs/ that are marked for it, run as they stand there."""

import itertools
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

PAGES = {name: (Path(__file__).parents[2] / f"docs/{name}.md").read_text() for name in ("operate", "chat", "teams")}
BLOCKS = {
    name: re.findall(r"^<!-- (start|run|prints) -->\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, page in PAGES.items()
}
STARTS = {name: [text for mark, text in blocks if mark == "start"] for name, blocks in BLOCKS.items()}


def chapters(blocks):
    """Each start with the blocks up to the next one."""
    at = [index for index, (mark, _) in enumerate(blocks) if mark == "start"]
    ends = [*at[1:], len(blocks)]
    return [(blocks[start][1], blocks[start + 1 : end]) for start, end in zip(at, ends, strict=True)]


@pytest.fixture
def follow(shell_at):
    """Run the commands of blocks, in their order; returns what each prints, which is looked at where they say it."""

    def run_blocks(server, blocks):
        printed = []
        for mark, text in blocks:
            if mark == "prints":
                lines = printed[-1].splitlines()
                missing = [line for line in text.splitlines() if not any(map(shaped(line).fullmatch, lines))]
                assert not missing, printed[-1]
                continue
            ran = shell_at(server, text, "-eu")
            assert ran.returncode == 0, (text, ran.stdout, ran.stderr)
            printed.append(ran.stdout)
        return printed

    missing = [command for command in ("bash", "curl", "jq", "sqlite3") if shutil.which(command) is None]
    if missing:
        pytest.skip(f"this machine has no {' and no '.join(missing)}")
    return run_blocks


def shaped(line):
    return re.compile(re.escape(line.rstrip()).replace("…", ".+"))


def options_of(start):
    program, subcommand, *options = shlex.split(start.replace("\\\n", " "))
    assert (program, subcommand) == ("pinocchio", "web-chat")
    return options


@pytest.mark.parametrize("name", PAGES)
def test_every_mark_has_its_block(name):
    assert len(BLOCKS[name]) == len(re.findall(r"^<!-- (?:start|run|prints) -->$", PAGES[name], re.MULTILINE))
    assert [mark for mark, _ in BLOCKS[name]].count("run") >= 2


@pytest.mark.parametrize("start", STARTS["operate"], ids=["path", "dsn", "scheduled backups"])
def test_commands_of_operating_do_what_the_page_says(serving, follow, tmp_path, start):
    runs = [block for block in BLOCKS["operate"] if block[0] != "start"]
    with serving(tmp_path, *options_of(start), PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        printed = follow(server, runs)

    assert all(printed)
    assert '"slug": "default"' in printed[0]
    assert "middleware.agentmode_config@v1" in printed[1]
    assert re.search(r"^default\|\d{13}$", printed[-1], re.MULTILINE)


def test_commands_of_chatting_do_what_the_page_says(serving, follow, tmp_path):
    with serving(tmp_path) as server:
        assert all(follow(server, BLOCKS["chat"]))


@pytest.mark.parametrize(("start", "blocks"), chapters(BLOCKS["teams"]), ids=itertools.count(1))
def test_commands_of_teams_do_what_the_page_says(serving, follow, tmp_path, start, blocks):
    with serving(tmp_path, *options_of(start), PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        follow(server, blocks)


def test_commands_about_tokens_do_what_the_page_says(serving, follow, tmp_path):
    marked = re.findall(r"^<!-- tokens: (\w+) -->\n```bash\n(.*?)^```$", PAGES["operate"], re.MULTILINE | re.DOTALL)
    blocks = dict(marked)
    (listed,) = follow(SimpleNamespace(cwd=tmp_path, port=0), [("run", blocks["before"])])
    with serving(tmp_path, *options_of(blocks["start"]), PINOCCHIO_PROFILE_REGISTRY_DB=None) as server:
        token = (tmp_path / "data/ann.token").read_text().strip()
        may = {"authorization": f"Bearer {token}"}
        made = server.request("POST", "/api/chat/profiles", {"slug": "analyst"}, **may)
        assert made.status == 201
        assert made.json["metadata"]["created_by"] == "ann"
        (printed,) = follow(server, [("run", blocks["run"])])

    assert listed.startswith("ann  admin  all registries  for ever\nci  editor  default  until ")
    assert printed.startswith("true\ntrue\ntrue\n")
    assert "hello" in printed
    assert printed.endswith('the token of "dashboard" is valid no more\n')
    assert token not in server.log
