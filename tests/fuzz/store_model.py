"""What the store has to be, as dictionaries: what each request comes to, and what is there afterwards."""

import copy
import json
from dataclasses import dataclass, field

FIELDS = ("display_name", "description", "runtime", "extensions", "metadata")


def content_of(sent):
    """What a whole document comes to, without what is empty."""
    return {name: sent[name] for name in FIELDS if sent.get(name)}


def text_of(content):
    """The same as text, in which `1`, `1.0` and `true` differ as they do in JSON."""
    return json.dumps(content, sort_keys=True)


@dataclass(frozen=True)
class Request:
    """A change, as it is sent and as it is understood."""

    op: str
    registry: str
    slug: str
    sent: dict = field(default_factory=dict)
    version: int = 0
    """That which is restored or labelled."""
    label: str = ""
    expected: int = 0
    dry_run: bool = False
    force: bool = False

    def as_http(self):
        """Method, path and document."""
        query = f"?registry={self.registry}" + ("&dry_run=true" if self.dry_run else "")
        one = f"/api/chat/profiles/{self.slug}"
        expected = {"expected_version": self.expected} if self.expected else {}
        if self.op == "create":
            return "POST", f"/api/chat/profiles{query}", {"slug": self.slug} | self.sent | expected
        if self.op in ("delete", "unlabel"):
            query += (f"&expected_version={self.expected}" if self.expected else "") + (
                "&force=true" if self.force else ""
            )
            return "DELETE", f"{one}/labels/{self.label}{query}" if self.op == "unlabel" else f"{one}{query}", None
        if self.op == "label":
            return "PUT", f"{one}/labels/{self.label}{query}", {"version": self.version} | expected
        if self.op == "restore":
            return "POST", f"{one}/revisions/{self.version}/restore{query}", expected
        if self.op == "set_default":
            return "POST", f"{one}/default{query}", expected
        return "PUT" if self.op == "replace" else "PATCH", f"{one}{query}", self.sent | expected

    def in_batch(self):
        """The same as one of several."""
        document = {"document": self.sent} if self.op in ("create", "replace", "patch") else {}
        expected = {"expected_version": self.expected} if self.expected else {}
        return {"op": self.op, "registry": self.registry, "slug": self.slug} | document | expected


class Refused(Exception):
    """What is asked for cannot be done, and with which status that is answered."""

    def __init__(self, status):
        self.status = status


class Model:
    """Registries with profiles, their histories and labels."""

    def __init__(self, registries):
        self.profiles = {}
        """(registry, slug) → (version, content)."""
        self.history = {}
        """(registry, slug) → [(version, op, content or None)], the oldest first."""
        self.labels = {}
        """(registry, slug, label) → version."""
        self.defaults = dict.fromkeys(registries)
        self.choices = dict.fromkeys(registries, 0)
        """How often the default became another one; a batch may end where it began."""

    def status_of(self, request):
        """What a request is answered with; does it, unless it is refused or only tried."""
        trial = copy.deepcopy(self)
        try:
            status = getattr(trial, f"_{request.op}")(request)
        except Refused as refused:
            return refused.status
        if request.dry_run:
            return 200
        self.__dict__ = trial.__dict__
        return status

    def batch_succeeds(self, requests, *, dry_run):
        """Whether all of them can be done; does all of them, or nothing."""
        trial = copy.deepcopy(self)
        if any(trial.status_of(request) >= 400 for request in requests):
            return False
        if not dry_run:
            self.__dict__ = trial.__dict__
        return True

    def _choose(self, registry, slug):
        self.choices[registry] += self.defaults[registry] != slug
        self.defaults[registry] = slug

    def _create(self, request):
        key = (request.registry, request.slug)
        if key in self.profiles or request.expected:
            raise Refused(409)
        self._write(key, "create", content_of(request.sent))
        if request.sent.get("set_default"):
            self._choose(request.registry, request.slug)
        return 201

    def _patch(self, request):
        key, (_, content) = self._seen(request)
        changed = content_of(content | {name: value for name, value in request.sent.items() if value is not None})
        if text_of(changed) != text_of(content):
            self._write(key, "update", changed)
        return 200

    def _replace(self, request):
        key, _ = self._seen(request)
        self._write(key, "replace", content_of(request.sent))
        return 200

    def _delete(self, request):
        key, _ = self._seen(request)
        is_default = self.defaults[request.registry] == request.slug
        others = sum(registry == request.registry for registry, _ in self.profiles) - 1
        labels = [label for label in self.labels if label[:2] == key]
        if (is_default and others) or (labels and not request.force):
            raise Refused(409)
        for label in labels:
            del self.labels[label]
        del self.profiles[key]
        self.history[key].append((self._next(key), "delete", None))
        if is_default:
            self._choose(request.registry, None)
        return 204

    def _set_default(self, request):
        if (request.registry, request.slug) not in self.profiles:
            raise Refused(404)
        self._choose(request.registry, request.slug)
        return 200

    def _restore(self, request):
        key = (request.registry, request.slug)
        then = [entry for entry in self.history.get(key, ()) if entry[0] == request.version]
        if not then:
            raise Refused(404)
        if then[0][2] is None:
            raise Refused(400)
        was_there = key in self.profiles
        if request.expected and request.expected != (self.profiles[key][0] if was_there else 0):
            raise Refused(409)
        self._write(key, "restore", then[0][2])
        return 200 if was_there else 201

    def _label(self, request):
        key = (request.registry, request.slug)
        contents = {version: content for version, _, content in self.history.get(key, ())}
        if key not in self.profiles or contents.get(request.version) is None:
            raise Refused(404)
        name = (*key, request.label)
        if request.expected and request.expected != self.labels.get(name, 0):
            raise Refused(409)
        status = 200 if name in self.labels else 201
        self.labels[name] = request.version
        return status

    def _unlabel(self, request):
        name = (request.registry, request.slug, request.label)
        if name not in self.labels:
            raise Refused(404)
        if request.expected and request.expected != self.labels[name]:
            raise Refused(409)
        del self.labels[name]
        return 204

    def _seen(self, request):
        key = (request.registry, request.slug)
        if key not in self.profiles:
            raise Refused(404)
        if request.expected and request.expected != self.profiles[key][0]:
            raise Refused(409)
        return key, self.profiles[key]

    def _next(self, key):
        return self.history[key][-1][0] + 1 if self.history.get(key) else 1

    def _write(self, key, op, content):
        version = self._next(key)
        self.profiles[key] = (version, content)
        self.history.setdefault(key, []).append((version, op, content))
