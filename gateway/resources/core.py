"""Objects of Kubernetes itself: Service, Secret, ConfigMap and EndpointSlice, as far as a gateway reads them."""

from collections.abc import Iterator
from collections.abc import Mapping as Map
from typing import Annotated, ClassVar, Literal

import msgspec

from gateway.resources.model import OpenPart, Resource

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
AddressType = Literal["IPv4", "IPv6", "FQDN"]
TLS_SECRET = "kubernetes.io/tls"  # noqa: S105 - the name of a Secret type


class ServicePort(OpenPart, frozen=True, kw_only=True, gc=False):
    """A port of a Service. ``target_port`` is a number or the name of a container port."""

    port: PortNumber
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str = ""


class ServiceSpec(OpenPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of a Service. ``cluster_ip`` is ``None`` text for headless Services, as Kubernetes writes it."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_name: str = ""
    ports: tuple[ServicePort, ...] = ()
    selector: Map[str, str] = {}
    publish_not_ready_addresses: bool = False


class Service(Resource, frozen=True, kw_only=True, weakref=True):
    """core/v1 Service."""

    KIND: ClassVar[str] = "Service"

    spec: ServiceSpec = ServiceSpec()


class SecretData(Map[str, bytes]):
    """The decoded values of a Secret. Neither ``repr`` nor ``str`` shows a value."""

    __slots__ = ("_values",)

    def __init__(self, values: Map[str, bytes]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> bytes:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return "SecretData(" + ", ".join(f"{key}=<{len(value)} bytes>" for key, value in self._values.items()) + ")"


class Secret(Resource, frozen=True, kw_only=True, weakref=True):
    """core/v1 Secret. ``stringData`` is already merged into ``data``, where it wins, as in the API server."""

    KIND: ClassVar[str] = "Secret"

    type: str = "Opaque"
    data: SecretData

    @property
    def certificate_chain(self) -> bytes | None:
        """``tls.crt``: PEM, leaf first."""
        return self.data.get("tls.crt")

    @property
    def private_key(self) -> bytes | None:
        """``tls.key``: PEM. Hand it on, never print it."""
        return self.data.get("tls.key")

    @property
    def ca_bundle(self) -> bytes | None:
        """``ca.crt``, or ``tls.crt`` when a Secret that is only used as a CA carries its bundle there."""
        return self.data.get("ca.crt") or self.data.get("tls.crt")


class ConfigMap(Resource, frozen=True, kw_only=True, weakref=True):
    """core/v1 ConfigMap."""

    KIND: ClassVar[str] = "ConfigMap"

    data: Map[str, str] = {}
    binary_data: Map[str, bytes] = {}


class EndpointConditions(OpenPart, frozen=True, kw_only=True, gc=False):
    """Conditions of an endpoint; ``None`` means "unknown", see :class:`SliceEndpoint` for what that stands for."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ObjectReference(OpenPart, frozen=True, kw_only=True, gc=False):
    """A reference to another object."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class SliceEndpoint(OpenPart, frozen=True, kw_only=True, gc=False):
    """One endpoint of a slice. All ``addresses`` are interchangeable; consumers use the first."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str = ""
    node_name: str = ""
    zone: str = ""
    target_ref: ObjectReference | None = None

    @property
    def is_ready(self) -> bool:
        """Kubernetes API: an unknown ``ready`` counts as ready."""
        return self.conditions.ready is not False

    @property
    def is_serving(self) -> bool:
        """Kubernetes API: an unknown ``serving`` falls back to ``ready``."""
        return self.is_ready if self.conditions.serving is None else self.conditions.serving

    @property
    def is_terminating(self) -> bool:
        """Kubernetes API: an unknown ``terminating`` counts as false."""
        return self.conditions.terminating is True


class SlicePort(OpenPart, frozen=True, kw_only=True, gc=False):
    """A port of a slice; ``name`` is that of the Service port. No number means "all ports"."""

    name: str = ""
    port: PortNumber | None = None
    protocol: str = "TCP"
    app_protocol: str = ""


class EndpointSlice(Resource, frozen=True, kw_only=True, weakref=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    GROUP: ClassVar[str] = "discovery.k8s.io"
    KIND: ClassVar[str] = "EndpointSlice"
    SERVICE_LABEL: ClassVar[str] = "kubernetes.io/service-name"

    address_type: AddressType
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[SlicePort, ...] = ()

    @property
    def service_name(self) -> str:
        """The Service of the same namespace that the slice belongs to, empty when it belongs to none."""
        return self.metadata.labels.get(self.SERVICE_LABEL, "")
