"""Listener objects.

Source of the rules: Emissary's ``irlistener.py`` (features.md 1.2, "Listener").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.resources import Listener
from gateway.resources.hosts import HostBinding, ListenerSpec
from gateway.translate.barrier import guarded
from gateway.translate.differences import report_fields
from gateway.translate.listeners import Port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway import ir
    from gateway.diagnostics import Collector
    from gateway.translate.settings import TranslateSettings

_STACKS: dict[str, tuple[str, ...]] = {
    "HTTP": ("HTTP", "TCP"),
    "HTTPS": ("TLS", "HTTP", "TCP"),
    "HTTPPROXY": ("PROXY", "HTTP", "TCP"),
    "HTTPSPROXY": ("TLS", "PROXY", "HTTP", "TCP"),
    "TCP": ("TCP",),
    "TLS": ("TLS", "TCP"),
    "UDP": ("UDP",),
}
_SECURITY: dict[str, Literal["xfp", "secure", "insecure"]] = {
    "XFP": "xfp",
    "SECURE": "secure",
    "INSECURE": "insecure",
}
_PLAIN = ListenerSpec(port=1, security_model="XFP", host_binding=HostBinding())


def listener_ports(
    listeners: Iterable[Listener], settings: TranslateSettings, options: ir.Options, found: Collector
) -> list[Port]:
    """The ports that Listeners ask for, in the order of namespace and name."""
    ports: list[Port] = []
    for listener in listeners:
        port = guarded(listener.origin, found, lambda item=listener: _port(item, settings, options, found))  # type: ignore[misc]
        if port is not None:
            ports.append(port)
    return ports


def _port(listener: Listener, settings: TranslateSettings, options: ir.Options, found: Collector) -> Port | None:
    spec, origin = listener.spec, listener.origin
    stack = _stack(listener, found)
    if stack is None:
        return None
    report_fields(Listener.KIND, spec, _PLAIN, origin, "spec", found)
    binding = spec.host_binding
    source = binding.namespace.from_
    if source is None and binding.selector is None:
        found.error("host-binding", "namespace or selector must be set", origin, "spec.hostBinding")
        return None
    if source == "SELECTOR":
        found.error(
            "host-binding",
            "SELECTOR was never implemented by Emissary; Hosts of the Listener's own namespace are taken",
            origin,
            "spec.hostBinding.namespace.from",
        )
    protocol = _protocol(stack)
    return Port(
        name=f"{listener.namespace}/{listener.name}",
        origin=origin,
        address=spec.bind_address or settings.bind_address,
        port=spec.port,
        tls="TLS" in stack and protocol != "tcp",
        security=_SECURITY[spec.security_model],
        namespace=None if source == "ALL" else listener.namespace,
        selector=binding.selector,
        proxy_protocol="PROXY" in stack,
        trusted_hops=spec.l7_depth or options.xff_num_trusted_hops,
        protocol=protocol,
        http2_max_concurrent_streams=_streams(listener, found),
    )


def _protocol(stack: tuple[str, ...]) -> Literal["http", "tcp", "udp"]:
    """HTTP over UDP is HTTP/3; without HTTP, bytes are forwarded, whether TLS is in the stack or not."""
    if "HTTP" not in stack:
        return "tcp"
    return "udp" if stack[-1] == "UDP" else "http"


def _streams(listener: Listener, found: Collector) -> int | None:
    value = listener.spec.http2_max_concurrent_streams
    if value is None:
        return None
    field = "spec.http2MaxConcurrentStreams"
    if value < 1:
        found.error("http2-streams", f"expected 1 or more, got {value}: it is ignored", listener.origin, field)
        return None
    return value


def _stack(listener: Listener, found: Collector) -> tuple[str, ...] | None:
    """The stack, ``None`` for one that cannot be served. ``protocolStack`` beats ``protocol``."""
    spec, origin = listener.spec, listener.origin
    stack: tuple[str, ...] = spec.protocol_stack
    if stack and spec.protocol:
        found.error("listener-protocol", "protocolStack is used, protocol ignored", origin, "spec.protocol")
    if not stack:
        if spec.protocol is None:
            found.error("listener-protocol", "protocol or protocolStack must be set", origin, "spec.protocol")
            return None
        stack = _STACKS[spec.protocol]
    if stack[-1] not in ("TCP", "UDP"):
        found.error("listener-protocol", "the stack must end in TCP or UDP", origin, "spec.protocolStack")
        return None
    if stack[-1] == "UDP" and ("PROXY" in stack or not ("HTTP" in stack and "TLS" in stack)):
        found.error("listener-protocol", "UDP is served as HTTP/3 only: [TLS, HTTP, UDP]", origin, "spec.protocolStack")
        return None
    return stack
