"""Whether a profile may be written: its fields, then schemas of plugins, then hooks of plugins.

Everything that is wrong with a request by itself is found at once; what depends on the stored profile comes after.
What was wrong with the stored profile already does not stop a change of it; see `ratchet`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import structs

from pinocchio_core.domain import limits
from pinocchio_core.domain.json_text import WHOLE, has_too_many_values
from pinocchio_core.domain.profile import OPEN_POLICY, Profile, encode_document
from pinocchio_core.domain.slugs import trim
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.host.host import Host
from pinocchio_core.service.chats import engines
from pinocchio_core.service.checking import configs, names, ratchet
from pinocchio_core.service.checking.envelope import value_at
from pinocchio_core.service.checking.overrides import unknown_tool
from pinocchio_core.service.checking.requests import CreateProfile, PatchProfile
from pinocchio_core.service.checking.targets import Target, opened

P = TypeVar("P", bound=PatchProfile)

_MOST_SOUND: Final = 4096
"""Documents that are remembered as sound, 32 bytes each."""


class Validation:
    """Checks requests and profiles against the catalog of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sound: set[bytes] = set()
        """What was found without fault stays so: the schemas are the same as long as the program runs."""

    @property
    def catalog(self) -> Catalog:
        """What may be used."""
        return self._host.catalog

    def request(
        self,
        body: bytes,
        kind: type[P],
        *,
        target: Target,
        stored: Callable[[P], Profile | None] = lambda _: None,
        max_nodes: int = limits.MAX_NODES,
    ) -> P:
        """The request that `body` is, about what `target` names in the path and the query.

        `stored` finds the profile that is to be changed, `None` where there is none: what was wrong with it before
        is not held against the request.

        Raises:
            InvalidRequest: with every problem that can be seen without the stored profile.
        """
        tree, request, problems = opened(body, kind, target, max_nodes=max_nodes)
        if kind is CreateProfile and (target.slug is None or tree.get("slug") is not None):
            problems += names.slug_problems("slug", tree.get("slug"))
        complete = kind is not PatchProfile
        own = [*problems, *_problems(tree, self.catalog, complete=complete, stacked=is_stacked(tree))]
        if own and request is not None and (old := stored(request)):
            if request.runtime is None and old.runtime.extends:
                own = [*problems, *_problems(tree, self.catalog, complete=complete, stacked=True)]
            own = self._sorted(own, tree, old).fresh
        problems = own
        if problems or request is None:
            raise InvalidRequest(problems, next_step=self._next_step(problems))
        return request

    def new(self, profile: Profile, *, of_any_size: bool = False) -> None:
        """Check what `request` could not see of a profile that is to be stored where there is none that can be read.

        Plugins are asked too; about one that builds on others that comes later. One that was stored before may be
        `of_any_size`.

        Raises:
            InvalidRequest: with every problem.
            HookFailed: a plugin raised.
        """
        # configs that were sent inline are extensions now
        too_many = list(names.count_problem("extensions", profile.extensions, limits.MAX_EXTENSIONS))
        self._refuse(too_many + ([] if of_any_size else _size_problems(profile)))
        if not profile.runtime.extends:
            self._refuse(self._host.validate(profile))

    def change(self, draft: Profile, old: Profile, *, of_any_size: bool = False) -> tuple[Problem, ...]:
        """Check a whole profile that is to be stored in the place of `old`; `of_any_size` as in `new`.

        Returns what is wrong with it and with `old` alike.

        Raises:
            InvalidRequest: with every problem that `old` does not have.
            HookFailed: a plugin raised.
        """
        known: list[Problem] = []
        problems = self._document_problems(draft) + ([] if of_any_size else _size_problems(draft))
        if problems:
            fresh, known = self._sorted(problems, _tree(draft), old)
            self._refuse(fresh)
        problems = [] if draft.runtime.extends else self._host.validate(draft)
        if problems:
            before = [] if old.runtime.extends else self._host.validate(old)
            keys = ratchet.keys_of(before, _tree(old), self.catalog)
            fresh, of_hooks = ratchet.sort(problems, _tree(draft), keys, self.catalog)
            self._refuse(fresh)
            known += of_hooks
        return tuple(known)

    def stored_problems(self, payload: bytes) -> list[Problem]:
        """What the schemas of the installed plugins have against a stored document; plugins' hooks are not asked.

        Configs in one that builds on others are left out.
        """
        try:
            tree = msgspec.json.decode(payload, type=dict[str, Any])
            return list(_problems(tree, self.catalog, complete=True, stacked=is_stacked(tree)))
        except RecursionError:
            return [Problem(field=WHOLE, reason="is nested too deep to be checked")]

    def together(self, whole: Profile, *, hooks: bool) -> list[Problem]:
        """What is wrong with what a profile and those that it builds on come to; plugins' hooks are asked on demand."""
        narrowed = structs.replace(whole, policy=OPEN_POLICY)  # each policy is checked by itself
        return self._document_problems(narrowed) or (list(self._host.validate(whole)) if hooks else [])

    def sorted(
        self, problems: Sequence[Problem], whole: Profile, before: Sequence[Problem], old: Profile
    ) -> ratchet.Sorted:
        """Problems of a profile by whether another one, with the problems `before`, has them too."""
        keys = ratchet.keys_of(before, _tree(old), self.catalog)
        return ratchet.sort(problems, _tree(whole), keys, self.catalog)

    def _document_problems(self, profile: Profile) -> list[Problem]:
        sound = _fingerprint(profile)
        if sound in self._sound and not any(_display_name_problems(profile.display_name)):
            return []
        problems = self.stored_problems(encode_document(profile))
        if not problems:
            if len(self._sound) >= _MOST_SOUND:
                self._sound.clear()
            self._sound.add(sound)
        return problems

    def _sorted(self, problems: list[Problem], tree: dict[str, Any], old: Profile) -> ratchet.Sorted:
        keys = ratchet.keys_of(self._document_problems(old) + _size_problems(old), _tree(old), self.catalog)
        return ratchet.sort(problems, tree, keys, self.catalog)

    def _refuse(self, problems: Sequence[Problem]) -> None:
        if problems:
            raise InvalidRequest(problems, next_step=self._next_step(problems))

    def _next_step(self, problems: Sequence[Problem]) -> str:
        if any(problem.field.startswith(configs.USES) for problem in problems):
            known = ", ".join(sorted(self.catalog.middlewares)) or "none"
            return f"see GET /api/chat/schemas/middlewares or pinocchio plugins for what may be used here ({known})"
        return "correct every field that is listed in errors and send the request again"


def _tree(profile: Profile) -> dict[str, Any]:
    tree: dict[str, Any] = msgspec.json.decode(encode_document(profile))
    return tree


def _fingerprint(profile: Profile) -> bytes:
    """Of all that is long to check: one for profiles that differ in texts and in what the server says of them."""
    checked = structs.replace(
        profile,
        registry="",
        slug="",
        display_name=None,
        description=None,
        runtime=structs.replace(profile.runtime, system_prompt=None),
        metadata=structs.replace(
            profile.metadata, version=0, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source=""
        ),
    )
    return hashlib.sha256(encode_document(checked)).digest()


def _size_problems(profile: Profile) -> list[Problem]:
    """Whether all parts of a profile together have too many values, however few each request brings."""
    if not has_too_many_values(encode_document(profile)):
        return []
    return [Problem(field=WHOLE, reason=f"the whole profile has more than {limits.MAX_NODES} values")]


def is_stacked(tree: dict[str, Any]) -> bool:
    """Whether a document says that it builds on others."""
    return bool(value_at(tree, "runtime", "extends"))


def _problems(tree: dict[str, Any], catalog: Catalog, *, complete: bool, stacked: bool) -> Iterator[Problem]:
    """What is wrong with a document as it is sent or stored; `complete`: what it does not have is not there."""
    yield from names.registry_problems("registry", tree.get("registry"))
    yield from _display_name_problems(tree.get("display_name"))
    if "runtime" in tree or "extensions" in tree:
        yield from _runtime_problems(tree, catalog, complete=complete, stacked=stacked)
    if "policy" in tree:
        yield from names.policy_problems(tree["policy"])
    yield from names.list_problems("metadata.tags", value_at(tree, "metadata", "tags"), limits.MAX_TAGS)
    yield from configs.extension_problems(tree, catalog)


def _runtime_problems(tree: dict[str, Any], catalog: Catalog, *, complete: bool, stacked: bool) -> Iterator[Problem]:
    yield from configs.use_problems(tree, catalog, new=complete, stacked=stacked)
    yield from names.extends_problems(value_at(tree, "runtime", "extends"))
    yield from names.list_problems("runtime.tools", value_at(tree, "runtime", "tools"), limits.MAX_TOOLS)
    settings = value_at(tree, "runtime", "step_settings_patch")
    yield from names.settings_problems(settings)
    yield from engines.settings_problems(settings, catalog)
    yield from _tool_problems(value_at(tree, "runtime", "tools"), catalog)


def _display_name_problems(value: Any) -> Iterator[Problem]:
    yield from names.name_problem("display_name", value, limit=limits.MAX_DISPLAY_NAME_LENGTH)


def _tool_problems(tools: Any, catalog: Catalog) -> Iterator[Problem]:
    for index, name in enumerate(tools[: limits.MAX_TOOLS] if isinstance(tools, list) else ()):
        sound = isinstance(name, str) and trim(name) and not any(names.name_problem("", name))
        if sound and trim(name) not in catalog.tools:
            yield Problem(field=f"runtime.tools[{index}]", reason=unknown_tool(name, catalog))
