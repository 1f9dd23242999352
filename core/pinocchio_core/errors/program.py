"""What keeps the program from doing what a request or an operator wants."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from pinocchio_core.errors.base import MAX_PROBLEMS, PinocchioError


class StoreUnavailable(PinocchioError):
    """The database cannot serve now: locked beyond the busy timeout, disk full, I/O error."""

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        self.reason, self.retry_after_s = reason, retry_after_s
        self.next_step = f"try again in {retry_after_s} s"
        super().__init__(f"store unavailable: {reason}")


class Overloaded(PinocchioError):
    """Too many requests wait for plugins; one more would take a thread that the others need."""

    retry_after_s = 1
    next_step = "try again in 1 s; if it stays, look in the server's log for the plugin that is slow"

    def __init__(self, waiting: int, plugins: str) -> None:
        super().__init__(f"{waiting} requests are waiting for plugins: {plugins}")


class TooManyTurns(PinocchioError):
    """As many chat turns run or wait as may; one more would take memory or a thread that others need."""

    retry_after_s = 1
    next_step = "try again in 1 s; --turns-at-once bounds all turns, half of --threads those not sent as events"

    def __init__(self, bound: int, *, holding_threads: bool) -> None:
        how = "chat turns that are answered whole" if holding_threads else "chat turns"
        super().__init__(f"{bound} {how} run or wait already")


class ListenersFull(PinocchioError):
    """As many listen to changes as this server takes."""

    retry_after_s = 5
    next_step = "poll instead, ask another server, or start this one with a higher --max-listeners"

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} clients listen to changes already, and this server takes no more")


class RowUnreadable(PinocchioError):
    """A stored row is damaged: its payload does not match its checksum, or is not what it should be."""

    next_step = "replace it, from a backup perhaps, or delete it; everything else is served"

    def __init__(self, what: str, reason: str, *, next_step: str | None = None) -> None:
        if next_step:
            self.next_step = next_step
        super().__init__(f"the stored {what} is unreadable: {reason}")


class HookFailed(PinocchioError):
    """A plugin's hook raised, so the request was refused and nothing was written."""

    def __init__(self, plugin: str, hook: str) -> None:
        self.plugin, self.hook = plugin, hook
        self.next_step = f"see the server's log, and report it to the authors of {plugin}"
        super().__init__(f"plugin {plugin} failed in {hook}; nothing was written")


class MiddlewareFailed(PinocchioError):
    """A middleware raised while a turn was running; the cause has the details for the log."""

    next_step = "see the log for what it raised, and report it to the authors of the plugin, or disable that use"

    def __init__(self, name: str, plugin: str) -> None:
        self.name, self.plugin = name, plugin
        super().__init__(f'the middleware "{name}" of plugin {plugin} failed')


class EngineFailed(PinocchioError):
    """The engine could not answer. The text is shown to the client, so it holds no secret.

    `status` is the provider's, where there is one; `retry_after_s` is there where the same may work later.
    """

    next_step = "try again; if that does not help, see the log and the settings of the engine"

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        retry_after_s: int | None = None,
        next_step: str | None = None,
    ) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        if next_step:
            self.next_step = next_step
        super().__init__(reason)


class StartupError(PinocchioError):
    """The program cannot start as asked."""

    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, next_step: str | None = None) -> None:
        self.next_step = next_step
        super().__init__(detail)


class SettingsError(StartupError):
    """A flag, an environment variable or a DSN is wrong."""

    exit_code = 2


class DatabaseRefused(StartupError):
    """The database cannot be opened, or must not be touched."""


class CandidateFailed(StartupError):
    """A distribution that was to be tried could not be installed or run."""


class PluginsFailed(StartupError):
    """One or more plugins are broken; `faults` has one line for each."""

    def __init__(self, faults: Sequence[str], *, serving: bool = True) -> None:
        """`serving`: they keep a server from starting, which can do without them."""
        self.faults = tuple(faults)
        steps = ["repair or uninstall them", "name them in PINOCCHIO_BLOCK_PLUGINS"]
        steps += ["start without them with --plugin-errors=warn"] if serving else []
        super().__init__(
            "broken plugins:\n  " + "\n  ".join(self.faults),
            next_step=f"{', '.join(steps[:-1])}{',' * serving} or {steps[-1]}",
        )


class FileProblem(Struct, frozen=True):
    """One thing that is wrong with a file: the line and the path of the value where they are known."""

    file: Path
    line: int | None
    path: str
    reason: str

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        path = f" {self.path}:" if self.path else ""
        return f"{self.file}{line}:{path} {self.reason}"


class FilesRefused(StartupError):
    """Files with profiles that cannot be used as they are; `problems` lists everything found, never empty."""

    def __init__(self, problems: Sequence[FileProblem], *, next_step: str | None = None) -> None:
        self.problems = tuple(problems)
        told = [str(problem) for problem in self.problems[:MAX_PROBLEMS]]
        more = len(self.problems) - len(told)
        told += [f"and {more} more problems"] if more else []
        super().__init__("\n  ".join(["these files cannot be used:", *told]), next_step=next_step or "correct them")


class PlanOutdated(StartupError):
    """What is stored is not what a plan saw; nothing was written."""

    next_step = "look at a new plan, and apply that"

    def __init__(self, outdated: Sequence[str]) -> None:
        """`outdated` says of each thing that was changed what it is now, and who wrote it."""
        self.outdated = tuple(outdated)
        told = "\n  ".join(("nothing was written, because of changes since the plan was made:", *self.outdated))
        super().__init__(told, next_step=self.next_step)
