"""What is known of each plugin: where it comes from and how it fares."""

from enum import StrEnum
from typing import Any

from msgspec import Struct


class PluginStatus(StrEnum):
    """How a plugin fares."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    """Left out by the operator."""
    IMPORT_FAILED = "import_failed"
    REJECTED = "rejected"
    """Its hooks do not fit the specifications."""
    CONFLICT = "conflict"
    """It claims a name that another plugin has."""
    CONTRIBUTION_FAILED = "contribution_failed"
    """A hook raised, or what it returned is not sound."""


class PluginRecord(Struct, frozen=True, kw_only=True):
    """One plugin of one distribution."""

    name: str
    target: str
    """The entry point's value, `module` or `module:attribute`."""
    distribution: str
    version: str
    status: PluginStatus = PluginStatus.ACTIVE
    detail: str = ""
    """Why it is not active, for people."""
    hooks: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it should be active and is not."""
        return self.status not in (PluginStatus.ACTIVE, PluginStatus.BLOCKED)

    @property
    def source(self) -> str:
        """The plugin's name with its distribution and version, for messages."""
        return f"{self.name} ({self.distribution} {self.version})"

    def line(self) -> str:
        """One line on it for a log or a terminal."""
        return f"{self.status.value:<20}{self.source}" + (f"  {self.detail}" if self.detail else "")

    def document(self) -> dict[str, Any]:
        """It as a JSON object."""
        return {
            "name": self.name,
            "target": self.target,
            "distribution": self.distribution,
            "version": self.version,
            "status": self.status.value,
            "detail": self.detail,
            "hooks": list(self.hooks),
        }
