"""Distributions that are not installed yet, tried in an environment of their own over what is installed here."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pinocchio_core.domain.slugs import printable
from pinocchio_core.errors import CandidateFailed
from pinocchio_core.service.upgrades.preflight import Preflight

_TIMEOUT_S: Final = 600
_PIP: Final = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
_TOLD: Final = 5
_LONGEST: Final = 300
_BUILD_BEGINS: Final = re.compile(r"\[[0-9]+ lines? of output\]$")
_BUILD_ENDS: Final = "[end of output]"
_NO_SOURCES: Final = (".tox", ".nox", ".venv", "__pycache__", "node_modules")
"""Folders beside sources that may be large, and that no package is built from."""
ROOM: Final = "make room or name another folder in TMPDIR, and check again; nothing was changed"
_HANGS: Final = "look for what it waits for, and check again; nothing was changed"
_ENDED_EARLY: Final = "look for what ends the program when the candidates are imported, and check again"


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

    def __init__(self, folder: Path, *, limit_s: float = _TIMEOUT_S) -> None:
        """Make it in a folder that is removed afterwards, with everything that its processes leave.

        `limit_s` is how long each of them may take.

        Raises:
            CandidateFailed: it cannot be made.
        """
        self._folder = folder
        self._limit_s = limit_s
        root = folder / "environment"
        self._python = root / "bin" / "python"
        self._packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(root), "platbase": str(root)}))
        # site's own way of adding a folder also reads the links in it, those of editable installations among them
        lines = [f"import site; site.addsitedir({path!r})" for path in _installed_here()]
        failure = f"an environment cannot be made in {folder}"
        with _written(failure):
            (folder / "temporary").mkdir()
            venv.create(root, with_pip=False)
            (self._packages / "installed_here.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if importlib.util.find_spec("pip") is None:  # one that is installed here is there too
            self._run(failure, "-m", "ensurepip", "--default-pip")

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
            *(str(self._copied(number, each)) for number, each in enumerate(sources)),
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
            failure = "the program with the candidates gave no answer that can be read"
            raise CandidateFailed(failure, next_step=_ENDED_EARLY) from error

    def _copied(self, number: int, source: Path) -> Path:
        """Sources as a copy, for those who build them write into their folder; anything else as it is."""
        if not source.is_dir():
            return source.absolute()
        source = source.resolve()
        copy = self._folder / "sources" / str(number) / source.name
        with _written(f"{source} cannot be copied"):
            shutil.copytree(source, copy, symlinks=True, ignore=self._left_out)
        return copy

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        """What is not copied of a folder: this environment may be in it too."""
        own = self._folder.resolve()
        return {name for name in names if name in _NO_SOURCES or Path(folder, name) == own}

    def _installed(self) -> set[tuple[str, str]]:
        found = importlib.metadata.distributions(path=[str(self._packages)])
        return {(each.metadata["Name"], each.version) for each in found}

    def _run(self, failure: str, *command: str) -> None:
        """Run the environment's Python, apart from variables and folders that would change what it finds.

        What it starts ends with it, also where this process is asked to end meanwhile.
        """
        said = self._folder / "said.txt"
        with _written(failure), said.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  fixed arguments, no shell
                [str(self._python), "-I", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                env=os.environ | {"TMPDIR": str(self._folder / "temporary")},
                start_new_session=True,
            )
        try:
            code = process.wait(self._limit_s)
        except subprocess.TimeoutExpired as error:
            raise CandidateFailed(f"{failure}: it did not end within {self._limit_s:g} s", next_step=_HANGS) from error
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code:
            why = reason_in(said.read_text(encoding="utf-8", errors="replace")) or f"exit code {code}"
            raise CandidateFailed(f"{failure}: {why}", next_step="correct it, and check again; nothing was changed")


def reason_in(output: str) -> str:
    """The lines that say why, of what a program said: of a build that pip made, what it said itself."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    builds = [index for index, line in enumerate(lines) if _BUILD_BEGINS.search(line)]
    if builds:
        lines = lines[builds[-1] + 1 :]
        lines = lines[: lines.index(_BUILD_ENDS)] if _BUILD_ENDS in lines else lines
    told = [line for line in lines if line.startswith("ERROR:")] or lines
    return printable(" | ".join(line if len(line) <= _LONGEST else line[:_LONGEST] + "…" for line in told[-_TOLD:]))


@contextmanager
def _written(failure: str) -> Iterator[None]:
    """A disk that does not take what the block writes keeps the candidate from being tried."""
    try:
        yield
    except OSError as error:
        why = error.strerror or printable(str(error))
        raise CandidateFailed(f"{failure}: {why}", next_step=ROOM) from error


def _installed_here() -> list[str]:
    """Where this program finds packages; not the standard library, which pip would keep from those who build them."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    standard |= {f"{path}/lib-dynload" for path in standard}
    return [path for path in sys.path if path and path not in standard and not path.endswith(".zip")]


def _version_here(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
