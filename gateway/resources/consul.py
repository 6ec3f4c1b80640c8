"""What Consul knows of a service. No manifest declares it: the source of objects adds it, so that translation sees
instances that come and go in the same way as EndpointSlices."""

import re
from typing import ClassVar

import msgspec

from gateway.base.keys import ObjectKey, kind_group
from gateway.diagnostics import Origin
from gateway.resources.model import Metadata, Resource

DEFAULT_ADDRESS = "127.0.0.1"
"""Of Consul's own clients: an agent on every node."""
HTTP_PORT, HTTPS_PORT = 8500, 8501
_ADDRESS = re.compile(r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")


def consul_url(address: str, *, tls: bool = False) -> str:
    """The base URL of Consul's HTTP API. ``tls``: use it where the address names no scheme. Raises ``ValueError``."""
    found = _ADDRESS.fullmatch(address or DEFAULT_ADDRESS)
    if found is None or int(found[3] or 1) not in range(1, 65536):
        raise ValueError(f"{address!r} is no address of Consul; expected for example consul-server.consul.svc:8500")
    scheme = found[1] or ("https" if tls else "http")
    return f"{scheme}://{found[2]}:{found[3] or (HTTPS_PORT if scheme == 'https' else HTTP_PORT)}"


class ConsulInstance(msgspec.Struct, frozen=True, gc=False, order=True):
    """An instance whose checks pass: an IP address and a port. ``weight`` is Consul's, relative to the others."""

    address: str
    port: int
    weight: int = 1


class ConsulPlace(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where to ask: the HTTP API as a ConsulResolver names it, and a datacenter."""

    address: str
    datacenter: str


class ConsulTarget(msgspec.Struct, frozen=True, gc=False, order=True):
    """A service of a Consul."""

    place: ConsulPlace
    service: str

    @property
    def key(self) -> ObjectKey:
        """The key of the :class:`ConsulService` in a set of resources."""
        namespace = f"{self.place.datacenter}@{self.place.address}"
        return ObjectKey(kind_group(ConsulService.KIND, ConsulService.GROUP), namespace, self.service)


class ConsulService(Resource, frozen=True, kw_only=True, weakref=True):
    """The last good answer of Consul about a service."""

    GROUP: ClassVar[str] = "consul"
    KIND: ClassVar[str] = "ConsulService"

    instances: tuple[ConsulInstance, ...]

    @classmethod
    def of(cls, target: ConsulTarget, instances: tuple[ConsulInstance, ...]) -> "ConsulService":
        """The object for an answer."""
        _, namespace, name = target.key
        return cls(
            metadata=Metadata(name=name, namespace=namespace),
            origin=Origin(cls.KIND, namespace, name),
            instances=instances,
        )
