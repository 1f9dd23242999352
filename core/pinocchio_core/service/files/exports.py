"""Registries as YAML files: new ones, and over those that are there, of which everything stays that still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinocchio_core.domain import paths
from pinocchio_core.domain.profile import Profile, Registry, same_content
from pinocchio_core.errors import FileProblem, FilesRefused
from pinocchio_core.files.documents import plain_json, profile_document, registry_document
from pinocchio_core.files.layout import REGISTRY_FILE
from pinocchio_core.files.yaml_writing import yaml_of, yaml_over
from pinocchio_core.service.files.filed import Described, DescribedRegistry, FiledRegistries


@dataclass(frozen=True)
class Exported:
    """A registry that is to be exported."""

    registry: Registry
    profiles: Sequence[Profile]
    unreadable: frozenset[str]
    """Slugs of profiles whose rows are damaged; what files say of them stays."""


@dataclass(frozen=True)
class FileChange:
    """A file as it shall be; `text` is `None` where it shall not be there any more."""

    path: Path
    text: str | None


class YamlExports:
    """Makes the text of files; writes none."""

    def __init__(self, filed: FiledRegistries) -> None:
        self._filed = filed

    def file(self, exported: Exported, path: Path | None) -> FileChange:
        """One file with the registry and its profiles.

        Raises:
            FilesRefused: there is something at the path that is not this registry.
        """
        document = registry_document(exported.registry)
        documents = {profile.slug: profile_document(profile) for profile in exported.profiles}
        if path is None or not path.exists():
            return FileChange(path or Path(), yaml_of(document | {"profiles": documents}))
        old = self._described(path, exported)
        written: dict[str, Any] = plain_json(old.part.file.document).get("profiles") or {}
        profiles = {profile.slug: profile for profile in exported.profiles}
        keys = {paths.join("profiles", key): key for key in written}
        kept = {}
        for slug, described in old.profiles.items():
            key = keys[described.part.at]
            if slug in exported.unreadable or (slug in profiles and _holds(described, profiles[slug])):
                kept[key] = written[key]
                documents.pop(slug, None)
            elif slug in documents:
                kept[key] = documents.pop(slug)
        return FileChange(path, yaml_over(old.part.file.text, document | {"profiles": kept | documents}))

    def folder(self, exported: Exported, path: Path) -> list[FileChange]:
        """A file for each profile and one for the registry; only those that have to change.

        Raises:
            FilesRefused: there is something in the folder that is not this registry.
        """
        old = self._described(path, exported) if path.is_dir() and any(path.iterdir()) else None
        described = old.profiles if old else {}
        changes = []
        head = registry_document(exported.registry)
        if old is None:
            changes.append(FileChange(path / f"{REGISTRY_FILE}.yaml", yaml_of(head)))
        elif (text := yaml_over(old.part.file.text, head)) != old.part.file.text:
            changes.append(FileChange(old.part.file.path, text))
        for profile in exported.profiles:
            there = described.get(profile.slug)
            if there is None:
                changes.append(FileChange(path / f"{profile.slug}.yaml", yaml_of(profile_document(profile))))
            elif not _holds(there, profile):
                file = there.part.file
                changes.append(FileChange(file.path, yaml_over(file.text, profile_document(profile))))
        gone = described.keys() - {profile.slug for profile in exported.profiles} - exported.unreadable
        return changes + [FileChange(described[slug].part.file.path, None) for slug in sorted(gone)]

    def _described(self, path: Path, exported: Exported) -> DescribedRegistry:
        step = "name a file or folder that is not there yet, or one with this registry"
        found = self._filed.read([path])
        if len(found) != 1 or found[0].slug != exported.registry.slug:
            there = ", ".join(registry.slug for registry in found)
            reason = f'holds {there or "nothing"}, and not the registry "{exported.registry.slug}"'
            raise FilesRefused([FileProblem(path, None, "", reason)], next_step=step)
        if found[0].part.at or any(part.file.path.suffix == ".json" for part in _parts(found[0])):
            raise FilesRefused([FileProblem(path, None, "", "is JSON; YAML is not written over it")], next_step=step)
        return found[0]


def _parts(registry: DescribedRegistry) -> list[Any]:
    return [registry.part, *(described.part for described in registry.profiles.values())]


def _holds(described: Described, profile: Profile) -> bool:
    return same_content(described.draft, profile)
