"""Distributions that are not installed yet, tried in an environment of their own over what is installed here."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pinocchio_core.errors import CandidateFailed
from pinocchio_core.service.upgrades.preflight import Preflight

_TIMEOUT_S: Final = 600
_PIP: Final = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
_TOLD: Final = 5


@dataclass(frozen=True)
class Candidate:
    """A distribution in the environment, and the version that is installed here."""

    name: str
    version: str
    replaces: str | None

    def line(self) -> str:
        """It for people."""
        return f"{self.name} {self.version}" + (f" in place of {self.replaces}" if self.replaces else ", which is new")


class Environment:
    """A virtual environment in a folder of one's own: what is installed here, and before it what is installed there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        root = folder / "environment"
        self._python = root / "bin" / "python"
        self._packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(root), "platbase": str(root)}))
        # a pip that is installed here is there too
        venv.create(root, with_pip=importlib.util.find_spec("pip") is None)
        # site's own way of adding a folder also reads the links in it, those of editable installations among them
        lines = [f"import site; site.addsitedir({path!r})" for path in sys.path if path]
        (self._packages / "installed_here.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def install(self, sources: Sequence[Path]) -> list[Candidate]:
        """Install wheels and folders of sources, then what they require and is not installed here.

        Raises:
            CandidateFailed: they cannot be built, or not be installed beside what is here.
        """
        before = self._installed()
        what = ", ".join(str(source) for source in sources)
        # by force, as the version may be one that is installed here; what they require stays as it is
        self._run(
            f"{what} cannot be installed",
            *_PIP,
            "--force-reinstall",
            "--no-deps",
            *(str(each.absolute()) for each in sources),
        )
        found = self._installed() - before
        self._run(
            f"what {what} requires cannot be installed", *_PIP, *(f"{name}=={version}" for name, version in found)
        )
        return [Candidate(name, version, _version_here(name)) for name, version in sorted(found)]

    def look_at(self, main: Path | None, databases: Sequence[Path]) -> Preflight:
        """What the plugins there have against these databases; they are told of the `main` one.

        Raises:
            CandidateFailed: the program does not come to an end with them.
        """
        answer = self._folder / "answer.json"
        self._run(
            "the program fails with the candidates",
            *("-m", "pinocchio_core.cli.preflight", str(answer), str(main or "")),
            *map(str, databases),
        )
        try:
            return msgspec.json.decode(answer.read_bytes(), type=Preflight)
        except (OSError, msgspec.MsgspecError) as error:
            raise CandidateFailed("the program with the candidates gave no answer that can be read") from error

    def _installed(self) -> set[tuple[str, str]]:
        found = importlib.metadata.distributions(path=[str(self._packages)])
        return {(each.metadata["Name"], each.version) for each in found}

    def _run(self, failure: str, *command: str) -> None:
        """Run the environment's Python, apart from variables and folders that would change what it finds."""
        try:
            ended = subprocess.run(  # noqa: S603  fixed arguments, no shell
                [str(self._python), "-I", *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CandidateFailed(f"{failure}: it did not end within {_TIMEOUT_S} s") from error
        if ended.returncode:
            lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith("ERROR:")] or lines
            raise CandidateFailed(
                f"{failure}: {' '.join(errors[-_TOLD:]) or f'exit code {ended.returncode}'}",
                next_step="correct it, and check again; nothing was changed",
            )


def _version_here(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
