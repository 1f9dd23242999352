"""What the documents say of the command line: every option and variable is there, and every command can be given."""

import re
import shlex
from pathlib import Path

import click
import falcon.inspect
import pytest

from pinocchio_core.cli.main import build
from pinocchio_core.host.host import Host
from pinocchio_core.testing import make_app

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
SOURCES = [path for folder in ("core", "plugins", "contrib/agentmode/src") for path in (ROOT / folder).rglob("*.py")]


def options():
    """Every option with the command that has it, `plugins check --with`, those of plugins included."""
    found, commands = set(), [("", build(Host()))]
    while commands:
        path, command = commands.pop()
        commands += [(f"{path} {name}".strip(), each) for name, each in getattr(command, "commands", {}).items()]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                found |= {f"{path} {option}".strip() for option in parameter.opts if option.startswith("--")}
    return sorted(found)


@pytest.mark.parametrize("option", options())
def test_every_option_of_every_command_is_documented(option):
    name = option.rpartition(" ")[2]

    assert any(re.search(rf"(?<![\w-]){name}(?![\w-])", page) for page in PAGES.values()), option


def test_every_variable_is_documented():
    read = {name for path in SOURCES for name in re.findall(r'"(PINOCCHIO_[A-Z_]+)"', path.read_text())}
    pages = "".join(PAGES.values()) + (ROOT / "contrib/agentmode/README.md").read_text()

    assert len(read) > 10
    assert sorted(name for name in read if name not in pages) == []


def commands():
    """Every command line in the documents, by page, as words."""
    for page, text in sorted(PAGES.items()):
        for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            plain = re.sub(r"(?:^|(?<=\s))#.*$", "", block.replace("\\\n", " "), flags=re.MULTILINE)
            lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;()\n")
            lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
            words: list[str] = []
            for word in [*lexer, ";"]:
                if set(word) <= set("|&;()\n"):
                    yield page, words
                    words = []
                else:
                    words.append(word)


PROGRAM = [(page, words) for page, words in commands() if re.fullmatch(r"([^\s=]*/)?pinocchio", " ".join(words[:1]))]
URLS = [(page, word) for page, words in commands() if "curl" in words[:1] for word in words if "localhost:8080" in word]


@pytest.mark.parametrize(
    ("page", "words"), PROGRAM, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_command_in_the_documents_can_be_given(page, words):
    command, known = build(Host()), set()
    for word in words[1:]:
        if word == "--":
            break
        if word.startswith("--"):
            known = {option for parameter in command.params for option in parameter.opts}
            assert word.partition("=")[0] in known | {"--help"}, page
        elif getattr(command, "commands", {}):
            assert word in command.commands, page
            command = command.commands[word]


@pytest.fixture(scope="module")
def routes():
    """Every route as a pattern."""
    with make_app() as app:
        templates = [route.path for route in falcon.inspect.inspect_app(app.program.app).routes]
    return [re.sub(r"\{[^}]+\}", "[^/]+", template) for template in templates]


@pytest.mark.parametrize(("page", "url"), URLS)
def test_every_url_in_the_documents_is_served(routes, page, url):
    path = url.partition("localhost:8080")[2].partition("?")[0]

    assert any(re.fullmatch(route, path) for route in routes), page


def test_documents_have_commands_and_urls():
    assert len(PROGRAM) > 10
    assert len(URLS) > 10
