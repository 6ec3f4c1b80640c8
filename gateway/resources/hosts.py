"""getambassador.io Host, Listener, TLSContext and the resolvers."""

from typing import Annotated, ClassVar, Literal

import msgspec

from gateway.resources.core import PortNumber
from gateway.resources.model import GETAMBASSADOR, CamelPart, Integer, LabelSelector, Part, Resource

TlsVersion = Literal["v1.0", "v1.1", "v1.2", "v1.3"]


class TlsSettings(Part, frozen=True, kw_only=True, gc=False):
    """What Host.tls and TLSContext share. Secrets are in the object's namespace, or named ``name.namespace``."""

    alpn_protocols: str = ""
    min_tls_version: TlsVersion | None = None
    max_tls_version: TlsVersion | None = None
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
    ca_secret: str = ""
    crl_secret: str = ""
    cert_required: bool | None = None
    cert_chain_file: str = ""
    private_key_file: str = ""
    cacert_chain_file: str = ""
    redirect_cleartext_from: Integer | None = None
    sni: str = ""


class NameReference(Part, frozen=True, kw_only=True, gc=False):
    """An object by name; an empty ``namespace`` is that of the referring object."""

    name: str = ""
    namespace: str = ""


class InsecurePolicy(CamelPart, frozen=True, kw_only=True, gc=False):
    """What happens to cleartext requests; Emissary's default is ``Redirect``."""

    action: Literal["Redirect", "Reject", "Route"] | None = None
    additional_port: Integer | None = None


class RequestPolicy(Part, frozen=True, kw_only=True, gc=False):
    """``requestPolicy`` of a Host."""

    insecure: InsecurePolicy = InsecurePolicy()


class AcmeProvider(CamelPart, frozen=True, kw_only=True, gc=False):
    """Automatic certificates; read and kept, not acted on."""

    authority: str = ""
    email: str = ""
    private_key_secret: NameReference | None = None
    registration: str = ""


class PreviewUrl(Part, frozen=True, kw_only=True, gc=False):
    """Preview URLs; read and kept, not acted on."""

    enabled: bool = False
    type: Literal["Path"] | None = None


class HostSpec(CamelPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of a Host. ``hostname`` is a glob, possibly with ``:port``; empty means ``*``."""

    ambassador_id: tuple[str, ...] = msgspec.field(default=(), name="ambassador_id")
    hostname: str = ""
    mapping_selector: LabelSelector | None = None
    selector: LabelSelector | None = None
    """Deprecated name of ``mapping_selector``; use :attr:`effective_selector`."""
    tls_secret: NameReference | None = None
    tls_context: NameReference | None = None
    tls: TlsSettings | None = None
    request_policy: RequestPolicy | None = None
    acme_provider: AcmeProvider | None = None
    preview_url: PreviewUrl | None = None

    @property
    def effective_selector(self) -> LabelSelector | None:
        """``mappingSelector``, else the deprecated ``selector``."""
        return self.mapping_selector if self.mapping_selector is not None else self.selector


class Host(Resource, frozen=True, kw_only=True, weakref=True):
    """A virtual host and its TLS."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "Host"

    spec: HostSpec = HostSpec()
    refused: bool = False
    """Whether it stands in for one that cannot be read: then nothing is served on its domain."""


class NamespaceBinding(CamelPart, frozen=True, kw_only=True, gc=False):
    """Namespaces whose Hosts attach; Emissary never implemented ``SELECTOR``."""

    from_: Literal["SELF", "ALL", "SELECTOR"] | None = msgspec.field(default=None, name="from")


class HostBinding(CamelPart, frozen=True, kw_only=True, gc=False):
    """Which Hosts attach to a Listener."""

    namespace: NamespaceBinding = NamespaceBinding()
    selector: LabelSelector | None = None


class ListenerSpec(CamelPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of a Listener. ``protocol`` or ``protocol_stack`` is set; ``protocol`` wins when both are."""

    ambassador_id: tuple[str, ...] = msgspec.field(default=(), name="ambassador_id")
    port: PortNumber
    protocol: Literal["HTTP", "HTTPS", "HTTPPROXY", "HTTPSPROXY", "TCP", "TLS", "UDP"] | None = None
    protocol_stack: tuple[Literal["HTTP", "PROXY", "TLS", "TCP", "UDP"], ...] = ()
    security_model: Literal["XFP", "SECURE", "INSECURE"]
    l7_depth: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = msgspec.field(default=None, name="l7Depth")
    stats_prefix: str = ""
    host_binding: HostBinding
    bind_address: str = msgspec.field(default="", name="bind_address")
    http2_max_concurrent_streams: Integer | None = msgspec.field(default=None, name="http2MaxConcurrentStreams")


class Listener(Resource, frozen=True, kw_only=True, weakref=True):
    """A port and the Hosts it serves."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "Listener"

    spec: ListenerSpec


class TLSContextSpec(TlsSettings, frozen=True, kw_only=True, gc=False):
    """``spec`` of a TLSContext: with ``hosts`` for termination, without for origination."""

    ambassador_id: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secret: str = ""
    secret_namespacing: bool | None = None


class TLSContext(Resource, frozen=True, kw_only=True, weakref=True):
    """TLS settings by name."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "TLSContext"

    spec: TLSContextSpec = TLSContextSpec()
    refused: bool = False
    """Whether it stands in for one that cannot be read: then no TLS may be spoken by it."""


class ResolverSpec(Part, frozen=True, kw_only=True, gc=False):
    """Resolvers of Kubernetes have no settings."""

    ambassador_id: tuple[str, ...] = ()


class KubernetesServiceResolver(Resource, frozen=True, kw_only=True, weakref=True):
    """Mappings that name it go to the address of the Service."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "KubernetesServiceResolver"

    spec: ResolverSpec = ResolverSpec()


class KubernetesEndpointResolver(Resource, frozen=True, kw_only=True, weakref=True):
    """Mappings that name it go to the endpoints themselves."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "KubernetesEndpointResolver"

    spec: ResolverSpec = ResolverSpec()


class ConsulResolverSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a ConsulResolver: ``address`` is host and port of Consul's HTTP API."""

    ambassador_id: tuple[str, ...] = ()
    address: str = ""
    datacenter: str = ""


class ConsulResolver(Resource, frozen=True, kw_only=True, weakref=True):
    """Mappings that name it go to instances that Consul knows."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "ConsulResolver"

    spec: ConsulResolverSpec = ConsulResolverSpec()
