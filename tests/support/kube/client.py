"""What tests say to the API server: apply manifests, read, change and delete objects, read logs, ask for tokens.

The transport is the official client's; objects are plain documents, as in the manifests.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import yaml
from kubernetes.aio.client import ApiClient, Configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from tests.support.kube.credentials import Kubeconfig

Object = dict[str, Any]
Scalar = str | int | bool
Query = Mapping[str, Scalar]
MANAGER = "tests"
"""Owner of the fields that ``apply`` sets."""
NOT_FOUND = 404
_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_STEP = 0.02
_SETTLED = 30.0
"""Seconds after which a kind that is not served yet is an error."""
_EARLY = ("Namespace", "CustomResourceDefinition")


class ApiError(AssertionError):
    """The API server said no."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: {status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of one kind are served."""

    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        place = f"/namespaces/{namespace}" if self.namespaced and namespace is not None else ""
        return f"{self.base}{place}/{self.plural}" + (f"/{name}" if name is not None else "")


class KubeClient:
    """One identity at one API server. ``async with client(kubeconfig) as kube: …``"""

    def __init__(self, api: ApiClient, namespace: str = "default") -> None:
        self._api = api
        self._resources: dict[tuple[str, str], Resource] = {}
        self._touched: set[Resource] = set()
        self.namespace = namespace
        """For objects that name none."""

    # -------------------------------------------------------------------------------------------------- requests

    async def request(
        self, method: str, path: str, body: Any = None, *, media: str = _JSON, query: Query | None = None
    ) -> Object:
        """One exchange; an answer that is no success raises ``ApiError``."""
        text = await self.text(method, path, body, media=media, query=query)
        document: Object = json.loads(text)
        return document

    async def text(
        self, method: str, path: str, body: Any = None, *, media: str = _JSON, query: Query | None = None
    ) -> str:
        """The same with an answer that is no JSON."""
        url = self._api.configuration.host + path
        if query:
            words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
            url += "?" + urlencode(words)
        headers = {"Accept": "application/json, */*", "Content-Type": media}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], url, method, body)
        answer = await self._api.call_api(method, url, header_params=headers, body=body)
        data = bytes(await answer.read() or b"").decode()
        if not 200 <= answer.status < 300:
            raise ApiError(answer.status, f"{method} {path}", _message(data))
        return data

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Where a kind is; waits for a CustomResourceDefinition that was made just now."""
        known = self._resources.get((api_version, kind))
        if known is not None:
            return known
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        end = time.monotonic() + _SETTLED
        while True:
            try:
                listed = (await self.request("GET", base))["resources"]
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise
                listed = []
            for item in listed:
                if "/" not in item["name"]:
                    found = Resource(base, item["name"], item["namespaced"])
                    self._resources[(api_version, item["kind"])] = found
            if (api_version, kind) in self._resources:
                return self._resources[(api_version, kind)]
            if time.monotonic() > end:
                raise ApiError(NOT_FOUND, f"{api_version} {kind}", "the API server does not serve it")
            await asyncio.sleep(_STEP)

    # --------------------------------------------------------------------------------------------------- objects

    async def apply(self, manifests: str | Path | Iterable[Object], **query: Scalar) -> list[Object]:
        """Server-side apply of YAML documents.

        Namespaces and CustomResourceDefinitions go first; the latter are served when this returns.
        """
        objects = sorted(documents(manifests), key=lambda item: item["kind"] not in _EARLY)
        done = []
        for item in objects:
            path = await self._path_of(item)
            options = {"fieldManager": MANAGER, "force": True, **query}
            answer = await self.request("PATCH", path, item, media=_APPLY, query=options)
            done.append(answer)
            if item["kind"] == "CustomResourceDefinition" and "dryRun" not in query:
                await self.wait(path, is_established, "established")
        return done

    async def create(self, item: Object) -> Object:
        resource = await self.resource(item["apiVersion"], item["kind"])
        self._touch(resource)
        return await self.request("POST", resource.path(self._namespace_of(item)), item)

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
        return await self.request("GET", await self.path(api_version, kind, name, namespace))

    async def list(self, api_version: str, kind: str, namespace: str | None = None, **query: Scalar) -> list[Object]:
        """All objects of a kind in a namespace, ``""`` for all namespaces."""
        resource = await self.resource(api_version, kind)
        place = None if namespace == "" else namespace or self.namespace
        items: list[Object] = (await self.request("GET", resource.path(place), query=query))["items"]
        return items

    async def patch(
        self, api_version: str, kind: str, name: str, change: Object, namespace: str | None = None, sub: str = ""
    ) -> Object:
        """A merge patch of the object, or of its subresource ``sub``."""
        path = await self.path(api_version, kind, name, namespace)
        return await self.request("PATCH", path + (f"/{sub}" if sub else ""), change, media=_MERGE)

    async def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, **query: Scalar
    ) -> None:
        await self.request("DELETE", await self.path(api_version, kind, name, namespace), query=query)

    async def clear(self, deadline: float = 60.0) -> None:
        """Delete all objects of the kinds that this client made in its namespace; returns when the pods are gone."""
        touched = sorted({one.path(self.namespace) for one in self._touched})
        for path in touched:
            await self.request("DELETE", path, query={"propagationPolicy": "Background"})
        pods = f"/api/v1/namespaces/{self.namespace}/pods"

        async def gone() -> bool:
            if not (await self.request("GET", pods))["items"]:
                return True
            # Nobody needs them to end in peace, nor those that their owners make before they go.
            await self.request("DELETE", pods, query={"gracePeriodSeconds": 0})
            return False

        await eventually(gone, lambda: f"{pods}: gone", deadline)

    async def path(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> str:
        resource = await self.resource(api_version, kind)
        return resource.path(namespace or self.namespace, name)

    async def wait(self, path: str, condition: Callable[[Object], bool], what: str, deadline: float = 30.0) -> Object:
        """Read an object until it is as wanted; while it does not exist, it is not."""
        seen: Object = {}

        async def reached() -> bool:
            nonlocal seen
            try:
                seen = await self.request("GET", path)
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise
                seen = {}
            return bool(seen) and condition(seen)

        await eventually(reached, lambda: f"{path}: {what}; it is {json.dumps(seen)[:2000]}", deadline)
        return seen

    async def wait_gone(self, path: str, deadline: float = 30.0) -> None:
        async def gone() -> bool:
            try:
                await self.request("GET", path)
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise
                return True
            return False

        await eventually(gone, lambda: f"{path}: gone", deadline)

    # ---------------------------------------------------------------------------------------------- pods, tokens

    async def logs(self, pod: str, namespace: str | None = None, **query: Scalar) -> str:
        path = await self.path("v1", "Pod", pod, namespace)
        return await self.text("GET", f"{path}/log", query=query)

    async def token(self, account: str, namespace: str | None = None, seconds: int = 3600) -> str:
        """A token of a ServiceAccount (TokenRequest); ``seconds`` is at least 600."""
        path = await self.path("v1", "ServiceAccount", account, namespace)
        answer = await self.request("POST", f"{path}/token", {"spec": {"expirationSeconds": seconds}})
        return str(answer["status"]["token"])

    # --------------------------------------------------------------------------------------------------- private

    def _touch(self, resource: Resource) -> None:
        if resource.namespaced:
            self._touched.add(resource)

    def _namespace_of(self, item: Object) -> str:
        return str(item["metadata"].get("namespace") or self.namespace)

    async def _path_of(self, item: Object) -> str:
        resource = await self.resource(item["apiVersion"], item["kind"])
        self._touch(resource)
        return resource.path(self._namespace_of(item), item["metadata"]["name"])


@asynccontextmanager
async def client(kubeconfig: Kubeconfig, namespace: str = "default") -> AsyncIterator[KubeClient]:
    """A client with the identity of ``kubeconfig``."""
    configuration = Configuration(
        host=kubeconfig.server,
        api_key={"BearerToken": kubeconfig.token},
        api_key_prefix={"BearerToken": "Bearer"},
        ssl_ca_cert=str(kubeconfig.authority),
    )
    async with ApiClient(configuration) as api:
        yield KubeClient(api, namespace)


def documents(manifests: str | Path | Iterable[Object]) -> list[Object]:
    """Objects of YAML text, of a file or folder of it, or as they are; Lists are taken apart."""
    if isinstance(manifests, str):
        found = list(yaml.safe_load_all(manifests))
    elif isinstance(manifests, Path):
        files = sorted(manifests.rglob("*.yaml")) if manifests.is_dir() else [manifests]
        found = [item for file in files for item in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    else:
        found = list(manifests)
    flat: list[Object] = []
    for item in found:
        if item is not None:
            flat.extend(item["items"] if item["kind"] == "List" else [item])
    return flat


def is_established(definition: Object) -> bool:
    """A CustomResourceDefinition whose objects can be made."""
    return has_condition(definition, "Established")


def has_condition(item: Object, name: str, status: str = "True") -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(one["type"] == name and one["status"] == status for one in conditions)


async def eventually(condition: Callable[[], Awaitable[bool]], what: Callable[[], str], deadline: float = 30.0) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + deadline
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what()}")
        await asyncio.sleep(_STEP)


def _message(data: str) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data
