"""networking.k8s.io/v1: Ingress and IngressClass."""

from typing import ClassVar, Literal

from gateway.resources.core import PortNumber
from gateway.resources.model import CamelPart, Resource

DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"


class ServiceBackendPort(CamelPart, frozen=True, kw_only=True, gc=False):
    """A port by name or by number; exactly one is set."""

    name: str = ""
    number: PortNumber | None = None


class IngressServiceBackend(CamelPart, frozen=True, kw_only=True, gc=False):
    """A Service of the Ingress' namespace."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class TypedLocalReference(CamelPart, frozen=True, kw_only=True, gc=False):
    """A reference to an object of the same namespace."""

    kind: str
    name: str
    api_group: str | None = None


class IngressBackend(CamelPart, frozen=True, kw_only=True, gc=False):
    """Where requests go; exactly one of the two is set."""

    service: IngressServiceBackend | None = None
    resource: TypedLocalReference | None = None


class HttpIngressPath(CamelPart, frozen=True, kw_only=True, gc=False):
    """One path of a rule. ``Prefix`` compares path segments, see the Kubernetes documentation of Ingress."""

    backend: IngressBackend
    path: str = "/"
    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"]


class HttpIngressRule(CamelPart, frozen=True, kw_only=True, gc=False):
    """The paths of a host."""

    paths: tuple[HttpIngressPath, ...]


class IngressRule(CamelPart, frozen=True, kw_only=True, gc=False):
    """A host, exact or ``*.suffix`` (one label); empty means every host."""

    host: str = ""
    http: HttpIngressRule | None = None


class IngressTls(CamelPart, frozen=True, kw_only=True, gc=False):
    """The certificate for some hosts; the Secret is in the Ingress' namespace."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(CamelPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of an Ingress."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTls, ...] = ()


class Ingress(Resource, frozen=True, kw_only=True, weakref=True):
    """networking.k8s.io/v1 Ingress; extensions/v1beta1 and networking.k8s.io/v1beta1 are read into the same shape."""

    GROUP: ClassVar[str] = "networking.k8s.io"
    KIND: ClassVar[str] = "Ingress"

    spec: IngressSpec = IngressSpec()

    @property
    def class_name(self) -> str | None:
        """The older annotation when it is there (it wins in ingress-nginx and Emissary), else ``ingressClassName``."""
        return self.metadata.annotations.get(CLASS_ANNOTATION) or self.spec.ingress_class_name


class IngressClassParameters(CamelPart, frozen=True, kw_only=True, gc=False):
    """Parameters of a class, kept but not acted on."""

    kind: str
    name: str
    api_group: str | None = None
    scope: str = "Cluster"
    namespace: str = ""


class IngressClassSpec(CamelPart, frozen=True, kw_only=True, gc=False):
    """``spec`` of an IngressClass."""

    controller: str = ""
    parameters: IngressClassParameters | None = None


class IngressClass(Resource, frozen=True, kw_only=True, weakref=True):
    """networking.k8s.io/v1 IngressClass; cluster-wide, its namespace is always empty."""

    GROUP: ClassVar[str] = "networking.k8s.io"
    KIND: ClassVar[str] = "IngressClass"

    spec: IngressClassSpec = IngressClassSpec()

    @property
    def is_default(self) -> bool:
        """Whether Ingresses without a class belong to it."""
        return self.metadata.annotations.get(DEFAULT_CLASS_ANNOTATION) == "true"
