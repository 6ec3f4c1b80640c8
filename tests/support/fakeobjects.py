"""Objects of a Kubernetes API server, scripted: versions, merge patches, pages, failures. No HTTP, no watches."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

from gateway.kube import ApiFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Object = dict[str, Any]
GROUP = "getambassador.io"


class FakeObjects:
    """Paths to objects. It has the methods of :class:`gateway.kube.KubeClient` that write and read single objects."""

    def __init__(self) -> None:
        self.stored: dict[str, Object] = {}
        self.calls: list[tuple[str, str]] = []
        self.failure: Callable[[str, str], Exception | None] = lambda _verb, _path: None
        """What a request (verb, path) fails with."""
        self.room = True
        """Whether ``status.conditions`` is kept, or pruned as by a schema that does not know it."""
        self.installed = {"v3alpha1": ("mappings", "hosts"), "v2": ("mappings", "hosts")}
        """Kinds of getambassador.io, by version."""
        self._version = 0

    def put(self, path: str, raw: Object) -> None:
        """Store an object as somebody else would."""
        self._version += 1
        kept = copy.deepcopy(raw)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self.stored[path] = kept

    def status(self, path: str) -> Object:
        found: Object = self.stored[path].get("status", {})
        return found

    def count(self, verb: str, part: str = "") -> int:
        """Requests so far whose path has ``part``."""
        return sum(1 for one, path in self.calls if one == verb and part in path)

    def verbs(self) -> Counter[str]:
        return Counter(verb for verb, _ in self.calls)

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Any:
        await self._called("get", path)
        path = _stored_at(path)
        if path in self.stored:
            return copy.deepcopy(self.stored[path])
        if path.startswith(f"/apis/{GROUP}") and path.count("/") <= 3 and self.installed:
            return self._discovered(path)
        wanted = dict(query)
        if "limit" not in wanted and "labelSelector" not in wanted:
            raise ApiFailure(404, "NotFound", f"{path} not found")
        items = [raw for place, raw in sorted(self.stored.items()) if _in_collection(place, path)]
        if label := wanted.get("labelSelector"):
            name, _, value = label.partition("=")
            items = [raw for raw in items if raw["metadata"].get("labels", {}).get(name) == value]
        first, size = int(wanted.get("continue", "0")), int(wanted.get("limit", "500"))
        more = str(first + size) if first + size < len(items) else ""
        return {"items": copy.deepcopy(items[first : first + size]), "metadata": {"continue": more}}

    async def create(self, path: str, body: Any) -> Any:
        await self._called("create", path)
        place = f"{path}/{body['metadata']['name']}"
        if place in self.stored:
            raise ApiFailure(409, "AlreadyExists", f"{place} exists")
        self.put(place, body)
        return copy.deepcopy(self.stored[place])

    async def replace(self, path: str, body: Any) -> Any:
        await self._called("replace", path)
        self._check(path, body)
        self.put(path, body)
        return copy.deepcopy(self.stored[path])

    async def patch(self, path: str, body: Any) -> Any:
        await self._called("patch", path)
        place = _stored_at(path.removesuffix("/status"))
        self._check(place, body)
        changed = _merged(self.stored[place], {"status": body["status"]})
        if not self.room:
            changed["status"].pop("conditions", None)
        self.put(place, changed)
        return copy.deepcopy(self.stored[place])

    async def close(self) -> None:
        self.calls.append(("close", ""))

    def _discovered(self, path: str) -> Any:
        version = path.removeprefix(f"/apis/{GROUP}").removeprefix("/")
        if not version:
            return {"versions": [{"version": name} for name in self.installed]}
        return {"resources": [{"name": name} for name in self.installed[version]]}

    async def _called(self, verb: str, path: str) -> None:
        self.calls.append((verb, path))
        await asyncio.sleep(0)
        if (failure := self.failure(verb, path)) is not None:
            raise failure

    def _check(self, path: str, body: Any) -> None:
        if path not in self.stored:
            raise ApiFailure(404, "NotFound", f"{path} not found")
        if body["metadata"]["resourceVersion"] != self.stored[path]["metadata"]["resourceVersion"]:
            raise ApiFailure(409, "Conflict", f"{path} has been modified")


def _stored_at(path: str) -> str:
    """One object in all versions of its kind; discovery has a path for each."""
    return path.replace(f"/{GROUP}/v2/", f"/{GROUP}/v3alpha1/")


def _in_collection(place: str, collection: str) -> bool:
    """Whether an object is in a collection, of one namespace or of all."""
    root, _, plural = collection.rpartition("/")
    folder = place.rpartition("/")[0]
    return folder == collection or (folder.startswith(f"{root}/namespaces/") and folder.endswith(f"/{plural}"))


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made
