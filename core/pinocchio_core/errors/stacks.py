"""What profiles that build on others are refused for."""

from collections.abc import Sequence

from pinocchio_core.errors.base import Problem
from pinocchio_core.errors.requests import Conflict


class StackBroken(Conflict):
    """What a stored profile builds on is not there, or does not go together; `problems` lists why, never empty."""

    code = "stack_broken"

    def __init__(self, registry: str, slug: str, problems: Sequence[Problem]) -> None:
        self.registry, self.slug, self.problems = registry, slug, tuple(problems)
        self.refused = self.problems
        self.next_step = f'change runtime.extends of "{slug}", or bring back what it builds on'
        super().__init__(
            f'profile "{slug}" in registry "{registry}" cannot be used with what it builds on: {problems[0].reason}'
        )
