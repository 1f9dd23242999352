"""The public API for plugins, and all of the core that a plugin may import.

A plugin is a module, an object, or a class (instantiated once for each program that loads it) with
implementations of the hooks in `hookspecs`, named by an entry point in the group `pinocchio.plugins`:

    [project.entry-points."pinocchio.plugins"]
    shout = "acme_shout"

docs/write-a-plugin.md goes through a whole one.
"""

from pinocchio_core.domain.profile import Metadata, MiddlewareUse, Policy, Profile, Runtime
from pinocchio_core.domain.turns import Block, BlockKind, Event, Handler, Middleware, ToolDefinition, Turn
from pinocchio_core.errors import EngineFailed, Problem, TurnCancelled
from pinocchio_core.plugin.hookspecs import hookimpl
from pinocchio_core.plugin.types import (
    EngineDefinition,
    EngineOptions,
    ExtensionSchema,
    MiddlewareDefinition,
    ProfileChange,
    ProfileSeed,
    StartupInfo,
)

__all__ = [
    "Block",
    "BlockKind",
    "EngineDefinition",
    "EngineFailed",
    "EngineOptions",
    "Event",
    "ExtensionSchema",
    "Handler",
    "Metadata",
    "Middleware",
    "MiddlewareDefinition",
    "MiddlewareUse",
    "Policy",
    "Problem",
    "Profile",
    "ProfileChange",
    "ProfileSeed",
    "Runtime",
    "StartupInfo",
    "ToolDefinition",
    "Turn",
    "TurnCancelled",
    "hookimpl",
]
