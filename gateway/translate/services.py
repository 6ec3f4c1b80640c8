"""The service syntax of Mappings: ``[scheme://]name[.namespace][:port]``.

Source of the rules: Emissary's ``normalize_service_name`` and ``IRCluster`` (features.md 1.2, "Target and rewriting").
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_MAX_PORT = 65535


class ServiceError(ValueError):
    """The text names no service; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A parsed service. ``scheme`` is empty, ``http`` or ``https``; ``host`` is a name or an IP without brackets."""

    scheme: str
    host: str
    port: int | None
    remark: str = ""
    """What was ignored, empty when nothing was."""

    @property
    def is_ip(self) -> bool:
        """Whether ``host`` is an IP address."""
        return is_ip(self.host)


def is_ip(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address."""
    if ":" not in host and not host[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_service(text: str) -> ServiceAddress:
    """Parse a service. Raises :class:`ServiceError`. Text behind the port is ignored with a remark."""
    remark = ""
    scheme = ""
    rest = text.strip()
    if found := _SCHEME.match(rest):
        scheme = found[1].lower()
        rest = rest[found.end() :]
        if scheme not in {"http", "https"}:
            remark, scheme = f"unknown scheme {scheme!r} ignored", ""
    rest = rest.removeprefix("//")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority != rest:
        remark = f"{rest[len(authority) :]!r} behind host and port ignored"
    host, port = _split_port(authority, text)
    if not host:
        raise ServiceError(f"{text!r} names no host")
    if not (_HOST.fullmatch(host) or is_ip(host)):
        raise ServiceError(f"{host!r} is neither a name nor an IP address")
    return ServiceAddress(scheme, host.lower().removesuffix("."), port, remark)


def qualify(host: str, namespace: str) -> str:
    """Add the namespace to a bare name. Names with a dot, addresses and ``localhost`` stay as they are."""
    if "." in host or ":" in host or host == "localhost":
        return host
    return f"{host}.{namespace}"


def service_key(host: str) -> tuple[str, str] | None:
    """(namespace, name) of the Service that a qualified name means, if it has the form of one."""
    name, _, rest = host.partition(".")
    namespace, _, suffix = rest.partition(".")
    if not name or not namespace or (suffix and suffix != "svc" and not suffix.startswith("svc.")) or is_ip(host):
        return None
    return namespace, name


def _split_port(authority: str, text: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, tail = authority[1:].partition("]")
        if not bracket or not is_ip(host) or (tail and not tail.startswith(":")):
            raise ServiceError(f"{text!r}: an IPv6 address is written [address] or [address]:port")
        return host, _port(tail[1:], text) if tail else None
    if authority.count(":") > 1 and is_ip(authority):
        return authority, None
    host, colon, port = authority.partition(":")
    return host, _port(port, text) if colon else None


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= _MAX_PORT):
        raise ServiceError(f"{text!r}: {digits!r} is no port (1-{_MAX_PORT})")
    return int(digits)
