"""The files of a new package with one plugin, made from the templates beside this module."""

import importlib.metadata
import importlib.util
import json
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template
from typing import Final

from pinocchio_core.bootstrap import version
from pinocchio_core.host.discovery import BUILT_IN

KINDS: Final = {
    "middleware": "A Pinocchio middleware that ends every answer with a mark.",
    "engine": "A Pinocchio engine that repeats what was said last.",
    "tool": "A Pinocchio tool that counts the words of a text.",
    "extension": "A Pinocchio extension that gives profiles a badge.",
}
"""What a package may begin with, and what it then is."""

RESERVED: Final = frozenset({BUILT_IN, "pytest", "tox"})
"""Distributions that a package needs or is made with, whether they are installed here or not."""

_NAME: Final = re.compile(r"[a-z](?:[a-z0-9]|[-_](?=[a-z0-9])){0,56}")
_TEMPLATES: Final = files("pinocchio_core.cli") / "templates"


@dataclass(frozen=True)
class Blueprint:
    """A package that is to be made; `name` is that of its distribution, its plugin and what that contributes."""

    name: str
    kind: str

    def __post_init__(self) -> None:
        """Raise ValueError where the name cannot be all that."""
        if not _NAME.fullmatch(self.name):
            raise ValueError("use 1 to 57 of a-z, 0-9, - and _, beginning with a letter, such as acme-shout")
        if keyword.iskeyword(self.package) or self.package in sys.stdlib_module_names:
            raise ValueError(f"{self.package} is a word or a module of Python; put a name before it, as in acme-shout")
        if importlib.util.find_spec(self.package) is not None:
            raise ValueError(f"a package {self.package} is installed already; choose another name")
        if normalised(self.name) in RESERVED | _distributions():
            raise ValueError(f"{normalised(self.name)} is the name of another distribution; choose another name")

    @property
    def package(self) -> str:
        """The name that is imported."""
        return self.name.replace("-", "_")

    def files(self) -> dict[PurePosixPath, str]:
        """Its files by their path in its folder."""
        source = PurePosixPath("src", self.package)
        return {
            PurePosixPath("pyproject.toml"): self._text("pyproject.toml"),
            PurePosixPath("tox.ini"): self._text("tox.ini"),
            PurePosixPath("README.md"): self._text("README.md"),
            PurePosixPath(".gitignore"): self._text("gitignore"),
            source / "__init__.py": self._text(f"{self.kind}_init.py"),
            source / "definition.py": self._text(f"{self.kind}_definition.py"),
            source / "py.typed": "",
            PurePosixPath("tests", f"test_{self.package}.py"): self._text(f"{self.kind}_tests.py"),
        }

    def _text(self, template: str) -> str:
        return Template((_TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(
            name=self.name,
            package=self.package,
            title=re.sub(r"[-_]", " ", self.name).capitalize(),
            description=KINDS[self.kind],
            requirement=requirement(),
            source=source_of(_origin()),
        )


def normalised(name: str) -> str:
    """The name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions() -> set[str]:
    """What is installed; what was removed by halves has no name."""
    found = (each.metadata["Name"] for each in importlib.metadata.distributions())
    return {normalised(name) for name in found if name}


def requirement() -> str:
    """What a package requires that was made for this version."""
    major, minor = version().split(".")[:2] if "." in version() else ("0", "0")
    return f"{BUILT_IN}>={major}.{minor},<{int(major) + 1}"


def source_of(origin: str | None) -> str:
    """What pip installs this program from: what its `direct_url.json` says (PEP 610), else an index of packages."""
    try:
        told = json.loads(origin or "{}")
    except ValueError:
        told = {}
    url, vcs = told.get("url"), told.get("vcs_info")
    if not url:
        return requirement()
    return f"{BUILT_IN} @ " + (f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url)


def _origin() -> str | None:
    try:
        return importlib.metadata.distribution(BUILT_IN).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
