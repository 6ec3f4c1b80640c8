"""Every setting of a process, in one tree that is read once at start.

This is the only module that looks at the environment. Command line flags win over environment variables, environment
variables win over defaults. Times are seconds, sizes are bytes, unless the name says otherwise.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AccessLog = Literal["off", "json", "text"]
_MAX_NAMESPACE = 64
"""Characters of a DNS label, and a line end."""


class SettingsError(ValueError):
    """A setting or a combination of settings that cannot work; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where data-plane ports are bound."""

    bind_address: str = "0.0.0.0"  # noqa: S104
    """Address of listeners that name none. Every interface, because an edge in a container is reached from outside."""
    http_port: int = 8080
    """Cleartext port of manifests without a Listener (Emissary's container port); 0 takes a free port."""
    https_port: int = 8443
    """TLS port of manifests without a Listener (Emissary's container port); 0 takes a free port."""
    ephemeral: bool = False
    """Bind every listener on a free port whatever its manifest says: tests and embedders run side by side."""
    backlog: int = 4096
    """Connections that wait in one accept queue; capped by ``net.core.somaxconn``. Covers a reload's pause."""
    retry_interval: float = 1.0
    """Seconds until a port that could not be bound is tried again: quick for a rolling restart, cheap for ever."""
    handover: float = 0.25
    """Seconds in which handshakes that have begun may finish after new ones are refused: about one long round trip."""


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """How a process ends (SIGTERM, SIGINT)."""

    grace: float = 0.0
    """Seconds in which readiness fails but connections are still taken. 0 for a desk; in Kubernetes set it to the
    time that load balancers need to notice (10 is a good value there)."""
    timeout: float = 30.0
    """Seconds that running requests get afterwards. Kubernetes kills after ``terminationGracePeriodSeconds`` (30 by
    default), so Emissary's 600 would never be reached; ``AMBASSADOR_DRAIN_TIME`` still sets it."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The operator's port: health, metrics, diagnostics."""

    address: str = "127.0.0.1"
    """Loopback, because diagnostics name internal services; containers pass 0.0.0.0 so that probes reach it."""
    port: int = 8877
    """Emissary's admin port; 0 takes a free port."""
    diagnostics_anywhere: bool = False
    """Serve ``/ambassador/v0/diag/`` to peers that are not loopback."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The data-plane processes."""

    count: int = 1
    """Worker processes; 0 serves inside the master's own loop (tests, embedders)."""
    crash_limit: int = 3
    """Crashes of one slot inside ``crash_window`` that are replaced at once; the next ones wait."""
    crash_window: float = 10.0
    """Seconds over which crashes are counted: a fault that comes back within seconds is a loop."""
    backoff_initial: float = 0.5
    """Seconds of the first wait of a crash loop."""
    backoff_max: float = 30.0
    """Longest wait of a crash loop, so that a mended cause is noticed within half a minute."""
    filter_budget: float = 5.0
    """Seconds that a Python filter may take before its request is answered 504 (Emissary's AuthService timeout)."""
    filter_block: float = 0.5
    """Seconds that a Python filter may keep the loop of its worker before it is interrupted. Far above what a filter
    computes, far below what a client notices as an outage."""
    filter_threads: int = 8
    """Threads in each worker for each filter that blocks. A thread that waits costs some 100 KiB."""
    stall_limit: float = 10.0
    """Seconds without a turn of its loop after which a worker is replaced; nothing that a worker does takes one."""
    filters: tuple[tuple[str, str], ...] = ()
    """Python filters as (name, ``module:callable``), loaded in the workers. Only the operator can set them."""


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """What is refused before it harms everything else. Limits hold for all workers together."""

    max_connections: int | None = None
    """Most open connections of each listener; more are reset. ``None`` for no limit."""
    max_connections_per_address: int | None = None
    """Most open connections of one client address (an IPv6 /64 network), over all listeners. ``None`` for no limit:
    behind another proxy that does not speak PROXY all clients have its address."""
    close_at: float = 0.92
    """Used share of the pod's memory limit above which connections end with their next answer."""
    refuse_at: float = 0.95
    """Used share of the pod's memory limit above which requests are refused with 503."""
    interval: float = 0.25
    """Seconds between two looks at the memory."""
    control_groups: str = "/sys/fs/cgroup"
    """Where the kernel shows limits and usage of memory."""


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """How changes of the source become snapshots."""

    debounce: float = 0.005
    """Seconds of silence after a change before translating: an editor or a symlink swap makes several events. Short,
    because changes that arrive during a translation are taken together by the next one anyway."""
    max_delay: float = 0.2
    """Longest time a stream of changes can put off a translation."""
    quiet: float = float("inf")
    """Seconds without a change after which the next one is translated at once. Never for files, which are written one
    by one; a cluster's objects change one by one, and events that come together are one state already."""


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Which cluster is the source, and which of its objects. Selectors hold for every kind, as in Emissary."""

    kubeconfig: str = ""
    """A file with clusters and credentials; empty for ``~/.kube/config``, and in a pod for its service account."""
    context: str = ""
    """A context of that file; empty for the current one."""
    in_cluster: bool = False
    """Whether this process is a pod that reads as its service account."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are read; all without any."""
    label_selector: str = ""
    """Labels that objects must have, in the syntax of ``kubectl -l``."""
    field_selector: str = ""
    """Fields that objects must have, in the syntax of ``kubectl --field-selector``."""
    state_dir: str = ""
    """A folder for the copy of the last good objects; empty for none. It holds private keys."""


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """What is written into ``status`` of objects of a cluster, by one of the replicas."""

    mappings: bool = True
    """Statuses of Mappings; Emissary writes them only when ``AMBASSADOR_UPDATE_MAPPING_STATUS`` is ``true``."""
    service: str = ""
    """``namespace/name`` of the Service whose addresses Ingresses get, whoever wrote what they show; empty for the one
    with Emissary's label, whose addresses replace nobody else's."""
    addresses: tuple[str, ...] = ()
    """Addresses that Ingresses get instead."""


@dataclass(frozen=True, slots=True)
class ConsulSettings:
    """How Consul is asked where a ConsulResolver names one; the variables are those of Consul's own clients."""

    token: str = field(default="", repr=False)
    """``CONSUL_HTTP_TOKEN``"""
    token_file: str = ""
    """``CONSUL_HTTP_TOKEN_FILE``, read again for every query; wins over ``token``."""
    address: str = ""
    """``CONSUL_HTTP_ADDR``: the only Consul that may see the token; empty for all that resolvers name."""
    tls: bool = False
    """``CONSUL_HTTP_SSL``: HTTPS for addresses without a scheme."""
    ca_file: str = ""
    """``CONSUL_CACERT``: PEM file of the authorities that sign for Consul; empty for those of the system."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree."""

    paths: tuple[str, ...] = ()
    """Files and folders of manifests."""
    kubernetes: KubernetesSettings | None = None
    """The cluster that is the source where there are no ``paths``."""
    ambassador_id: str = "default"
    """Only objects that carry this id (or none, for ``default``) are ours: several gateways share one cluster."""
    namespace: str = "default"
    """Namespace of objects that name none, and of the gateway itself."""
    strict_label_selectors: bool = True
    """Whether a Mapping must fit both the hostname and the selector of a Host; else one is enough, as before 3.0."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What ``${NAME}`` stands for in manifests of files; empty for "nothing is replaced"."""
    allow_unenforced_auth: bool = False
    """Serve routes under an AuthService without asking it, where they would be answered 500."""
    access_log: AccessLog = "off"
    """Form of the access log on standard output; a manifest's own choice wins over ``off``."""
    log_level: str = "info"
    """Lowest level of the process log on standard error."""
    log_json: bool = False
    """The process log as JSON lines, for log collectors that parse."""
    consul: ConsulSettings = field(default_factory=ConsulSettings)
    status: StatusSettings | None = field(default_factory=StatusSettings)
    """``None`` writes none, and takes no part in the election. Without :attr:`kubernetes` it means nothing."""
    listen: ListenSettings = field(default_factory=ListenSettings)
    drain: DrainSettings = field(default_factory=DrainSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    reload: ReloadSettings = field(default_factory=ReloadSettings)
    overload: OverloadSettings = field(default_factory=OverloadSettings)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says; ``None`` where it says nothing."""

    ambassador_id: str | None = None
    """``AMBASSADOR_ID``"""
    namespace: str | None = None
    """``AMBASSADOR_NAMESPACE``"""
    consul: ConsulSettings = field(default_factory=ConsulSettings)
    """``CONSUL_HTTP_TOKEN`` and the like"""
    mapping_status: bool = True
    """``AMBASSADOR_UPDATE_MAPPING_STATUS``: ``false`` leaves statuses of Mappings alone"""
    drain_time: float | None = None
    """``AMBASSADOR_DRAIN_TIME``, seconds"""
    reload_max_delay: float | None = None
    """``AMBASSADOR_RECONFIG_MAX_DELAY``, seconds"""
    workers: int | None = None
    """``ENVOY_CONCURRENCY``: Envoy's worker threads, here worker processes"""
    json_logging: bool = False
    """``AMBASSADOR_JSON_LOGGING``: the process log as JSON lines"""
    debug: bool = False
    """``AMBASSADOR_DEBUG``: log level debug unless a flag says otherwise"""
    admin_address: str | None = None
    """``AMBASSADOR_HEALTHCHECK_BIND_ADDRESS``"""
    admin_port: int | None = None
    """``AMBASSADOR_HEALTHCHECK_BIND_PORT``"""
    single_namespace: bool = False
    """``AMBASSADOR_SINGLE_NAMESPACE``: only objects of the gateway's own namespace; any text turns it on"""
    label_selector: str = ""
    """``AMBASSADOR_LABEL_SELECTOR``"""
    field_selector: str = ""
    """``AMBASSADOR_FIELD_SELECTOR``"""
    in_cluster: bool = False
    """``KUBERNETES_SERVICE_HOST``, which Kubernetes sets in every pod"""
    kubeconfig: str = ""
    """``KUBECONFIG``"""
    state_dir: str = ""
    """``SLUICE_STATE_DIR``"""
    strict_label_selectors: bool = True
    """``DISABLE_STRICT_LABEL_SELECTORS``, the other way round"""
    config_folder: str | None = None
    """``AMBASSADOR_CONFIG_DIR``, else ``ambassador-config`` below ``AMBASSADOR_CONFIG_BASE_DIR``"""
    allow_unenforced_auth: bool = False
    """``SLUICE_ALLOW_UNENFORCED_AUTH``"""
    expand_variables: tuple[str, ...] = ()
    """``SLUICE_EXPAND_VARIABLES``: prefixes of names, with commas between them"""


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the variables that Emissary-ingress knows and that mean something here. Raises :class:`SettingsError`."""
    env = os.environ if environ is None else environ
    return Environment(
        ambassador_id=env.get("AMBASSADOR_ID") or None,
        namespace=env.get("AMBASSADOR_NAMESPACE") or None,
        consul=ConsulSettings(
            token=env.get("CONSUL_HTTP_TOKEN", ""),
            token_file=env.get("CONSUL_HTTP_TOKEN_FILE", ""),
            address=env.get("CONSUL_HTTP_ADDR", ""),
            tls=_boolean(env, "CONSUL_HTTP_SSL"),
            ca_file=env.get("CONSUL_CACERT", ""),
        ),
        mapping_status=_boolean(env, "AMBASSADOR_UPDATE_MAPPING_STATUS", default=True),
        drain_time=_seconds(env, "AMBASSADOR_DRAIN_TIME"),
        reload_max_delay=_seconds(env, "AMBASSADOR_RECONFIG_MAX_DELAY"),
        workers=_integer(env, "ENVOY_CONCURRENCY"),
        json_logging=_boolean(env, "AMBASSADOR_JSON_LOGGING"),
        debug=bool(env.get("AMBASSADOR_DEBUG")),
        admin_address=env.get("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS") or None,
        admin_port=_integer(env, "AMBASSADOR_HEALTHCHECK_BIND_PORT"),
        single_namespace=bool(env.get("AMBASSADOR_SINGLE_NAMESPACE")),
        label_selector=env.get("AMBASSADOR_LABEL_SELECTOR", ""),
        field_selector=env.get("AMBASSADOR_FIELD_SELECTOR", ""),
        in_cluster=bool(env.get("KUBERNETES_SERVICE_HOST")),
        kubeconfig=env.get("KUBECONFIG", ""),
        state_dir=env.get("SLUICE_STATE_DIR", ""),
        strict_label_selectors=not _boolean(env, "DISABLE_STRICT_LABEL_SELECTORS"),
        config_folder=_config_folder(env),
        expand_variables=tuple(filter(None, env.get("SLUICE_EXPAND_VARIABLES", "").split(","))),
        allow_unenforced_auth=_boolean(env, "SLUICE_ALLOW_UNENFORCED_AUTH"),
    )


def own_namespace(path: str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace") -> str:
    """The namespace of the pod that this process is; empty outside of one."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read(_MAX_NAMESPACE).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def manifest_variables(prefixes: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that manifests may name: those whose names begin with one of ``prefixes``. Raises
    :class:`SettingsError` for an empty one, which would hand out the whole environment."""
    env = os.environ if environ is None else environ
    wanted = tuple(prefixes)
    if not all(wanted):
        raise SettingsError("--expand-variables: write the beginning of the names that may be used, for example EDGE_")
    return {name: value for name, value in env.items() if name.startswith(wanted)} if wanted else {}


def worker_environment(import_path: list[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a worker: the master's, plus the master's import path (a worker never imports from the current
    directory) and two malloc arenas, because a worker has two threads and each further arena costs memory."""
    env = dict(os.environ if environ is None else environ)
    env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in import_path)
    env.setdefault("MALLOC_ARENA_MAX", "2")
    # Only the master speaks to Consul.
    env.pop("CONSUL_HTTP_TOKEN", None)
    return env


def parse_service(flag: str, text: str) -> str:
    """Check ``namespace/name``. Raises :class:`SettingsError`."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise SettingsError(f"{flag}: {text!r} names no Service; write NAMESPACE/NAME, for example edge/sluice")
    return text


def default_workers() -> int:
    """One worker for each CPU that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


def parse_address(text: str, default_port: int) -> tuple[str, int]:
    """Split ``host:port``, ``[v6]:port``, ``host`` or ``:port``. Raises :class:`SettingsError`."""
    host, colon, port = text.rpartition(":")
    bare_v6 = ":" in host and not host.startswith("[")
    if not colon or text.endswith("]") or bare_v6:
        host, port = text, ""
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port:
        return host, default_port
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{text!r} is no address: write HOST:PORT, for example 127.0.0.1:8877")
    return host, int(port)


def check_address(flag: str, text: str) -> None:
    """Raises :class:`SettingsError` when ``text`` is neither an IP address nor a name that is known here."""
    numeric = not text.strip("0123456789.")
    try:
        socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST if numeric else 0)
    except (OSError, UnicodeError):
        what = (
            "is no IP address" if numeric or ":" in text else "is neither an IP address nor a name that is known here"
        )
        raise SettingsError(f"{flag}: {text!r} {what}; write for example 127.0.0.1 or ::") from None


def _seconds(env: Mapping[str, str], name: str) -> float | None:
    text = env.get(name)
    if not text:
        return None
    number, _, rest = text.partition("s")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < 1e9:
        raise SettingsError(f"{name}={text!r} is no number of seconds: set for example {name}=30")
    return value


def _integer(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise SettingsError(f"{name}={text!r} is no whole number: set for example {name}=4 or leave it out")
    return int(text)


def _config_folder(env: Mapping[str, str]) -> str | None:
    """The folder that Emissary reads manifests from; ``None`` where no variable names it, and in a pod, whose manifests
    come from Kubernetes."""
    if env.get("KUBERNETES_SERVICE_HOST"):
        return None
    base = env.get("AMBASSADOR_CONFIG_BASE_DIR")
    return env.get("AMBASSADOR_CONFIG_DIR") or (os.path.join(base, "ambassador-config") if base else None)


def _boolean(env: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    text = env.get(name, "").lower()
    return text in {"1", "true", "yes", "on"} if text else default
