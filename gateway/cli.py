"""The ``sluice`` command. Answers go to standard output, the log and complaints to standard error.

Standard output of ``run`` is the access log alone; its start-up text goes to standard error. Rich is imported by the
commands that print tables, and by ``run`` at a terminal only: in a container nothing of it stays in memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import sys
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NoReturn

import typer

from gateway.settings import (
    AdminSettings,
    DrainSettings,
    Environment,
    KubernetesSettings,
    ListenSettings,
    OverloadSettings,
    ReloadSettings,
    Settings,
    SettingsError,
    StatusSettings,
    WorkerSettings,
    check_address,
    default_workers,
    manifest_variables,
    own_namespace,
    parse_address,
    parse_service,
    read_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from gateway.app import Gateway
    from gateway.diagnostics import Diagnostic, Severity
    from gateway.plane.pipeline import Update

USAGE = 2
"""Exit code of a wrong command line."""
_ADMIN_PORT = 8877
_QUIET = 0.05
"""See :attr:`gateway.settings.ReloadSettings.quiet`; longer than a translation, and than the writes of one ``kubectl
apply`` are apart."""
_SHOWN_OBJECTS = 5
"""Objects that an entry of ``check`` names."""

app = typer.Typer(
    name="sluice",
    help="Sluice: an API gateway for Kubernetes manifests.",
    no_args_is_help=True,
    # Plain help: tables cut the names of flags at 80 columns.
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files and folders of manifests. (default: from Kubernetes)", metavar="PATH", show_default=False
    ),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(help="File of clusters and credentials. (default: the pod's own, $KUBECONFIG, ~/.kube/config)"),
]
Context = Annotated[str | None, typer.Option(help="A context of the kubeconfig.")]
Namespaces = Annotated[list[str] | None, typer.Option(help="Read this namespace, may be repeated. (default: all)")]
AllowUnenforcedAuth = Annotated[
    bool, typer.Option("--allow-unenforced-auth", help="Serve routes under an AuthService without asking it.")
]
ExpandVariables = Annotated[
    list[str] | None,
    typer.Option(help="Replace ${NAME} in manifests for variables that begin so.", metavar="PREFIX"),
]
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "notice": "cyan"}

AccessLog = Literal["off", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _print_version(wanted: bool) -> None:
    if wanted:
        from gateway.plane.offline import build_facts

        sys.stdout.write(f"sluice {build_facts().get('version', '')}\n")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Sluice: an API gateway for Kubernetes manifests."""


@app.command()
def run(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of manifests; changes are taken up. (default: from Kubernetes)",
            metavar="PATH",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes. (default: one per CPU)", min=0, max=256)
    ] = None,
    bind_address: Annotated[str, typer.Option(help="Address of listeners that name none.")] = "0.0.0.0",  # noqa: S104
    http_port: Annotated[int, typer.Option(help="Cleartext port without a Listener.", min=0, max=65535)] = 8080,
    https_port: Annotated[int, typer.Option(help="TLS port without a Listener.", min=0, max=65535)] = 8443,
    admin_address: Annotated[
        str | None, typer.Option(help="Health, metrics, diagnostics. (default: 127.0.0.1:8877)")
    ] = None,
    allow_remote_diagnostics: Annotated[
        bool, typer.Option("--allow-remote-diagnostics", help="Show diagnostics to other machines too.")
    ] = False,
    max_connections: Annotated[
        int | None, typer.Option(help="Most open connections of each listener. (default: no limit)", min=1)
    ] = None,
    max_connections_per_address: Annotated[
        int | None, typer.Option(help="Most open connections of a client address. (default: no limit)", min=1)
    ] = None,
    drain_grace: Annotated[
        float, typer.Option(help="Seconds to accept while not ready; in Kubernetes about 10.", min=0)
    ] = 0.0,
    drain_timeout: Annotated[
        float | None, typer.Option(help="Seconds for running requests at the end. (default: 30)", min=0)
    ] = None,
    ambassador_id: Annotated[str | None, typer.Option(help="Take objects of this id. (default: default)")] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespaces = None,
    state_dir: Annotated[
        str | None, typer.Option(help="Folder for a copy of the last good objects, private keys among them.")
    ] = None,
    allow_unenforced_auth: AllowUnenforcedAuth = False,
    expand_variables: ExpandVariables = None,
    publish_service: Annotated[
        str | None, typer.Option(help="NAMESPACE/NAME of the Service whose addresses all Ingresses get.")
    ] = None,
    publish_address: Annotated[
        list[str] | None, typer.Option(help="Address that Ingresses get instead, may be repeated.")
    ] = None,
    status: Annotated[bool, typer.Option(help="Write status of objects in Kubernetes.")] = True,
    access_log: Annotated[AccessLog, typer.Option(help="Access log on standard output.")] = "off",
    log_level: Annotated[LogLevel | None, typer.Option(help="Process log. (default: info)")] = None,
) -> None:
    """Serve manifests from Kubernetes, or from files and folders."""
    try:
        env = read_environment()
        if not paths and env.config_folder and kubeconfig is None:
            paths = [Path(env.config_folder)]
        level = log_level or ("debug" if env.debug else "info")
        settings = Settings(
            paths=_existing(paths or []),
            kubernetes=None if paths else _kubernetes(kubeconfig, context, namespace, state_dir, env),
            ambassador_id=ambassador_id or env.ambassador_id or "default",
            namespace=_namespace(env),
            strict_label_selectors=env.strict_label_selectors,
            variables=manifest_variables(expand_variables or env.expand_variables),
            allow_unenforced_auth=allow_unenforced_auth or env.allow_unenforced_auth,
            consul=env.consul,
            status=_status(publish_service, publish_address, env) if status else None,
            access_log=access_log,
            log_level=level,
            log_json=env.json_logging,
            listen=ListenSettings(bind_address=bind_address, http_port=http_port, https_port=https_port),
            drain=_drain(drain_grace, drain_timeout, env),
            admin=_admin(admin_address, env, anywhere=allow_remote_diagnostics),
            workers=WorkerSettings(count=_first(workers, env.workers, default_workers())),
            overload=OverloadSettings(max_connections, max_connections_per_address),
            reload=_reload(env, folder=bool(paths)),
        )
        _check_ports(settings)
        check_address("--bind-address", bind_address)
        check_address("--admin-address", settings.admin.address)
    except SettingsError as error:
        _fail(f"sluice run: {error}")
    raise typer.Exit(_serve(settings))


@app.command()
def check(
    paths: Paths = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="Form of the findings.")] = "text",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespaces = None,
    allow_unenforced_auth: AllowUnenforcedAuth = False,
    expand_variables: ExpandVariables = None,
) -> None:
    """Validate manifests offline, or the objects of a cluster. Exit code 1 when anything would be refused."""
    from gateway.plane.issues import described
    from gateway.plane.offline import Offline

    cluster = _Cluster(kubeconfig, context, namespace)
    update = _load(paths, cluster, expand_variables, allow_unenforced_auth=allow_unenforced_auth)
    found = sorted((*update.diagnostics, *described(Offline(update.sections).issues(), update)))
    errors = sum(one.severity == "error" for one in found)
    if output == "json":
        facts = {
            "objects": update.objects,
            "refused": update.refused,
            "errors": errors,
            "diagnostics": [one.to_json() for one in found],
        }
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        _print_findings(found, update)
    raise typer.Exit(1 if errors else 0)


@app.command()
def explain(
    arguments: Annotated[list[str], typer.Argument(metavar="[PATH…] METHOD URL", show_default=False)],
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="A request header, 'Name: value'.")] = None,
    peer: Annotated[str, typer.Option(help="Address that the request comes from.")] = "127.0.0.1",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespaces = None,
    allow_unenforced_auth: AllowUnenforcedAuth = False,
    expand_variables: ExpandVariables = None,
) -> None:
    """Say which route takes a request, and why (JSON).

    What goes upstream is shown, too. Without a PATH the routes are those of a cluster."""
    from gateway.plane.offline import REFUSED, Offline

    if len(arguments) < 2:
        _fail("sluice explain: write [PATH…] METHOD URL, for example: sluice explain manifests GET http://localhost/")
    *paths, method, url = arguments
    scheme, separator, rest = url.partition("://")
    if not separator:
        _fail(f"sluice explain: {url!r} is no URL; write it with scheme and host, for example http://localhost{url}")
    if scheme.lower() not in ("http", "https"):
        _fail(f"sluice explain: the scheme {scheme!r} is not served; write http:// or https://")
    try:
        ipaddress.ip_address(peer)
    except ValueError:
        _fail(f"sluice explain: --peer {peer!r} is no IP address")
    headers = [_header(text) for text in header or ()]
    update = _load(
        [Path(path) for path in paths],
        _Cluster(kubeconfig, context, namespace),
        expand_variables,
        allow_unenforced_auth=allow_unenforced_auth,
    )
    try:
        decision = Offline(update.sections).explain(method.upper(), f"{scheme.lower()}://{rest}", headers, peer)
    except REFUSED as error:
        _fail(f"sluice explain: the request is refused: {' '.join(map(str, error.args))}", code=1)
    except ValueError as error:
        _fail(f"sluice explain: {error}")
    sys.stdout.write(json.dumps(json.loads(decision), indent=2) + "\n")


@app.command()
def ir(
    paths: Paths = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespaces = None,
    allow_unenforced_auth: AllowUnenforcedAuth = False,
    expand_variables: ExpandVariables = None,
) -> None:
    """Print what manifests become, as JSON.

    It is the neutral configuration that the data plane gets; private keys are left out."""
    import orjson

    from gateway.ir import redacted

    cluster = _Cluster(kubeconfig, context, namespace)
    update = _load(paths, cluster, expand_variables, allow_unenforced_auth=allow_unenforced_auth)
    sys.stdout.write(orjson.dumps(redacted(update.model), option=orjson.OPT_INDENT_2).decode() + "\n")


@app.command()
def crds() -> None:
    """Print the CustomResourceDefinitions of getambassador.io (YAML)."""
    from gateway.resources.crds import render

    sys.stdout.write(render())


@app.command()
def version() -> None:
    """Print the version and how the native part was built."""
    from gateway.plane.offline import build_facts

    facts = build_facts()
    sys.stdout.write(f"sluice {facts.pop('version', '')}\n")
    for name, value in sorted(facts.items()):
        sys.stdout.write(f"  {name:<10} {value}\n")
    sys.stdout.write(f"  {'python':<10} {sys.version.split()[0]}\n")


def main() -> None:
    """Entry point of the ``sluice`` command."""
    app()


# ------------------------------------------------------------------------------------------------------------ helpers


def _serve(settings: Settings) -> int:
    import uvloop

    from gateway.app import serve
    from gateway.plane.launch import raise_descriptor_limit

    _configure_log(settings)
    raise_descriptor_limit()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, _announce))
    except OSError as error:
        sys.stderr.write(f"sluice run: {error}\n")
        return 1


def _announce(gateway: Gateway) -> None:
    """The one block of start-up text, on standard error."""
    facts, settings, update = gateway.facts(), gateway.settings, gateway.update
    lines = [f"sluice serves {', '.join(settings.paths) or _cluster(settings)}"]
    lines += [f"  {name:<12} {address} port {port}" for name, address, port in gateway.addresses]
    if update is not None:
        model = update.model
        routes = sum(len(host.routes) for host in model.virtual_hosts)
        lines.append(
            f"  {'objects':<12} {update.objects}: {_count(len(model.virtual_hosts), 'virtual host')}, "
            f"{_count(routes, 'route')}, {_count(len(model.clusters), 'cluster')}"
        )
    lines.append(f"  {'findings':<12} {_severities(facts.diagnostics)}")
    lines.append(f"  {'workers':<12} {facts.workers_wanted}")
    admin = f"http://{settings.admin.address}:{gateway.admin_port}"
    lines.append(f"  {'admin':<12} {admin}/ready /metrics /ambassador/v0/diag/")
    if not sys.stderr.isatty():
        sys.stderr.write("\n".join(lines) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for number, line in enumerate(lines):
        text = Text(line, "bold green" if number == 0 else "")
        if number:
            text.stylize("dim", 0, 14)
        for severity, style in _STYLES.items():
            text.highlight_regex(rf"\b[1-9]\d* {severity}s?\b", style)
        console.print(text)


def _cluster(settings: Settings) -> str:
    chosen = settings.kubernetes
    spaces = chosen.namespaces if chosen is not None else ()
    return f"the cluster{', namespace ' if spaces else ''}{', '.join(spaces)}"


class _Cluster(NamedTuple):
    """Flags that choose a cluster."""

    kubeconfig: str | None
    context: str | None
    namespaces: list[str] | None


def _load(
    paths: list[Path] | None, cluster: _Cluster, expand_variables: list[str] | None, *, allow_unenforced_auth: bool
) -> Update:
    from gateway.plane.pipeline import load

    try:
        env = read_environment()
        return load(
            Settings(
                paths=_existing(paths or []),
                kubernetes=None if paths else _kubernetes(*cluster, None, env),
                ambassador_id=env.ambassador_id or "default",
                namespace=_namespace(env),
                strict_label_selectors=env.strict_label_selectors,
                variables=manifest_variables(expand_variables or env.expand_variables),
                allow_unenforced_auth=allow_unenforced_auth or env.allow_unenforced_auth,
            )
        )
    except SettingsError as error:
        _fail(f"sluice: {error}")
    except ConnectionError as error:
        _fail(f"sluice: {error}", code=1)


def _print_findings(found: list[Diagnostic], update: Update) -> None:
    from rich.console import Console
    from rich.text import Text

    from gateway.translate.differences import DIFFERENCE_CODES

    console = Console(soft_wrap=True, highlight=False)
    differences = [one for one in found if one.code in DIFFERENCE_CODES]
    for one in found:
        if one.code in DIFFERENCE_CODES:
            continue
        origin = one.origin
        place = f"{origin.path}:{one.line}" if origin.path and one.line else origin.path
        head = Text.assemble((one.severity, _STYLES[one.severity]), f" [{one.code}] ", (str(origin), "bold"))
        console.print(head, Text(f" {one.field}" if one.field else ""), sep="")
        console.print(Text(f"  {one.message}"))
        for label, text in (("hint", one.hint), ("at", place)):
            if text:
                console.print(Text(f"  {label}: {text}", style="dim"))
    if differences:
        _print_differences(console, differences)
    refused = f" ({update.refused} refused)" if update.refused else ""
    console.print(f"{_objects(update)}{refused}: {_severities(found)}")


def _print_differences(console: Console, differences: list[Diagnostic]) -> None:
    """What will behave otherwise than in Emissary: one entry for each difference, whatever the number of objects."""
    from rich.text import Text

    console.print(Text("different from Emissary", "bold"))
    objects: dict[tuple[Severity, str, str, str, str], list[str]] = {}
    for one in differences:
        place = f"{one.origin.kind} {one.field}".strip()
        name = f"{one.origin.namespace}/{one.origin.name}" if one.origin.name else ""
        objects.setdefault((one.severity, one.code, place, one.message, one.hint), []).append(name)
    for (severity, code, place, message, hint), names in objects.items():
        shown = ", ".join(filter(None, names[:_SHOWN_OBJECTS])) + (
            f" and {len(names) - _SHOWN_OBJECTS} more" if len(names) > _SHOWN_OBJECTS else ""
        )
        console.print(Text.assemble((severity, _STYLES[severity]), f" [{code}] {place}"))
        console.print(Text(f"  {message}"))
        for label, text in (("hint", hint), ("of", shown)):
            if text:
                console.print(Text(f"  {label}: {text}", style="dim"))


def _objects(update: Update) -> str:
    return _count(update.objects, "object")


def _severities(found: Iterable[Diagnostic]) -> str:
    counts = Counter(one.severity for one in found)
    return ", ".join(_count(counts[name], name) for name in _STYLES)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        _fail(f"sluice explain: {text!r} is no header; write -H 'Name: value'")
    return name.strip(), value.strip()


def _existing(paths: list[Path]) -> tuple[str, ...]:
    for path in paths:
        if not path.exists():
            raise SettingsError(f"{path} does not exist; name a file or folder of manifests")
    return tuple(map(str, paths))


def _namespace(env: Environment) -> str:
    """Of the gateway itself."""
    return env.namespace or (own_namespace() if env.in_cluster else "") or "default"


def _kubernetes(
    kubeconfig: str | None, context: str | None, namespaces: list[str] | None, state_dir: str | None, env: Environment
) -> KubernetesSettings:
    if find_spec("kubernetes") is None:
        raise SettingsError(
            "no PATH given, and the client of Kubernetes is missing: pip install 'sluice-gateway[kube]', "
            "or name a file or folder of manifests"
        )
    if kubeconfig is not None and not Path(kubeconfig).is_file():
        raise SettingsError(f"--kubeconfig {kubeconfig} does not exist, or is no file")
    only = (_namespace(env),) if env.single_namespace else ()
    file = kubeconfig or ("" if env.in_cluster else env.kubeconfig)
    return KubernetesSettings(
        kubeconfig=file,
        context=context or "",
        in_cluster=env.in_cluster and not file,
        namespaces=tuple(sorted(set(namespaces))) if namespaces else only,
        label_selector=env.label_selector,
        field_selector=env.field_selector,
        state_dir=env.state_dir if state_dir is None else state_dir,
    )


def _reload(env: Environment, *, folder: bool) -> ReloadSettings:
    reload = ReloadSettings() if folder else ReloadSettings(quiet=_QUIET)
    return reload if env.reload_max_delay is None else replace(reload, max_delay=env.reload_max_delay)


def _status(service: str | None, addresses: list[str] | None, env: Environment) -> StatusSettings:
    return StatusSettings(
        mappings=env.mapping_status,
        service=parse_service("--publish-service", service) if service else "",
        addresses=tuple(addresses or ()),
    )


def _drain(grace: float, timeout: float | None, env: Environment) -> DrainSettings:
    drain = DrainSettings(grace=grace)
    chosen = timeout if timeout is not None else env.drain_time
    return drain if chosen is None else replace(drain, timeout=chosen)


def _admin(address: str | None, env: Environment, *, anywhere: bool) -> AdminSettings:
    default = AdminSettings(env.admin_address or "127.0.0.1", _first(env.admin_port, _ADMIN_PORT), anywhere)
    if address is None:
        return default
    host, port = parse_address(address, default.port)
    return replace(default, address=host, port=port)


def _check_ports(settings: Settings) -> None:
    listen, admin = settings.listen, settings.admin
    if listen.http_port and listen.http_port == listen.https_port:
        raise SettingsError(f"--http-port and --https-port are both {listen.http_port}; give them different ports")
    if admin.port and admin.port in {listen.http_port, listen.https_port}:
        raise SettingsError(f"the admin port {admin.port} is a data port too; change --admin-address")


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _configure_log(settings: Settings) -> None:
    form = "%(asctime)s %(levelname)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if settings.log_json else logging.Formatter(form))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # It counts file system events, also those that mean nothing here.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # It warns of a missing kubeconfig without its name, before it raises.
    logging.getLogger("kubernetes").setLevel(logging.ERROR)


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _fail(message: str, code: int = USAGE) -> NoReturn:
    sys.stderr.write(message + "\n")
    raise typer.Exit(code)
