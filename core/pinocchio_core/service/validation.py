"""Whether a profile may be written: its fields, then schemas of plugins, then hooks of plugins.

Everything that is wrong with a request by itself is found at once; what depends on the stored profile comes after.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from pinocchio_core.domain import limits
from pinocchio_core.domain.json_text import WHOLE
from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.slugs import trim
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.host.host import Host
from pinocchio_core.service import configs, engines, names
from pinocchio_core.service.envelope import value_at
from pinocchio_core.service.overrides import unknown_tool
from pinocchio_core.service.requests import CreateProfile, PatchProfile
from pinocchio_core.service.targets import Target, opened

P = TypeVar("P", bound=PatchProfile)


class Validation:
    """Checks requests and profiles against the catalog of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def catalog(self) -> Catalog:
        """What may be used."""
        return self._host.catalog

    def request(self, body: bytes, kind: type[P], *, target: Target) -> P:
        """The request that `body` is, about what `target` names in the path and the query.

        Raises:
            InvalidRequest: with every problem that can be seen without the stored profile.
        """
        tree, request, problems = opened(body, kind, target)
        problems += self._request_problems(tree, kind)
        if problems or request is None:
            raise InvalidRequest(problems, next_step=self._next_step(problems))
        return request

    def whole(self, profile: Profile, *, configs_too: bool) -> None:
        """Check a profile that is about to be written, apart from what `request` has checked.

        `configs_too`: also what its uses of middlewares have as configs, where the change touches these.

        Raises:
            InvalidRequest: with every problem.
            HookFailed: a plugin raised.
        """
        problems = list(configs.missing_config_problems(profile, self.catalog)) if configs_too else []
        problems = problems or self._host.validate(profile)
        if problems:
            raise InvalidRequest(problems, next_step=self._next_step(problems))

    def stored_problems(self, payload: bytes) -> list[Problem]:
        """What the schemas of the installed plugins have against a stored document; plugins' hooks are not asked."""
        try:
            tree = msgspec.json.decode(payload, type=dict[str, Any])
            problems = list(configs.use_problems(tree, self.catalog, new=True))
            problems += configs.extension_problems(tree, self.catalog)
            return problems + list(_tool_problems(value_at(tree, "runtime", "tools"), self.catalog))
        except RecursionError:
            return [Problem(field=WHOLE, reason="is nested too deep to be checked")]

    def _request_problems(self, tree: dict[str, Any], kind: type[PatchProfile]) -> Iterator[Problem]:
        if kind is CreateProfile:
            yield from names.slug_problems("slug", tree.get("slug"))
        yield from names.registry_problems("registry", tree.get("registry"))
        display_name = tree.get("display_name")
        yield from names.name_problem("display_name", display_name, limit=limits.MAX_DISPLAY_NAME_LENGTH)
        yield from configs.use_problems(tree, self.catalog, new=kind is not PatchProfile)
        yield from names.list_problems("runtime.tools", value_at(tree, "runtime", "tools"), limits.MAX_TOOLS)
        settings = value_at(tree, "runtime", "step_settings_patch")
        yield from names.settings_problems(settings)
        yield from engines.settings_problems(settings, self.catalog)
        yield from _tool_problems(value_at(tree, "runtime", "tools"), self.catalog)
        yield from names.policy_problems(tree.get("policy"))
        yield from names.list_problems("metadata.tags", value_at(tree, "metadata", "tags"), limits.MAX_TAGS)
        yield from configs.extension_problems(tree, self.catalog)

    def _next_step(self, problems: Sequence[Problem]) -> str:
        if any(problem.field.startswith(configs.USES) for problem in problems):
            known = ", ".join(sorted(self.catalog.middlewares)) or "none"
            return f"see GET /api/chat/schemas/middlewares for what may be used here ({known})"
        return "correct every field that is listed in errors and send the request again"


def _tool_problems(tools: Any, catalog: Catalog) -> Iterator[Problem]:
    for index, name in enumerate(tools[: limits.MAX_TOOLS] if isinstance(tools, list) else ()):
        sound = isinstance(name, str) and trim(name) and not any(names.name_problem("", name))
        if sound and trim(name) not in catalog.tools:
            yield Problem(field=f"runtime.tools[{index}]", reason=unknown_tool(name, catalog))
