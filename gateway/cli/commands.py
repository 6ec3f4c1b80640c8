"""The ``sluice`` command. Answers go to standard output, the log and complaints to standard error.

Standard output of ``run`` is the access log alone; its start-up text goes to standard error. Rich is imported by the
commands that print tables, and by ``run`` at a terminal only: in a container nothing of it stays in memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli.log import configure_log
from gateway.cli.options import (
    AllowUnenforcedAuth,
    ClusterChoice,
    Context,
    ExpandVariables,
    Kubeconfig,
    Namespaces,
    Paths,
    admin_settings,
    check_ports,
    drain_settings,
    existing_paths,
    fail,
    first,
    gateway_namespace,
    kubernetes_settings,
    load_update,
    reload_settings,
    status_settings,
)
from gateway.cli.output import announce, print_findings
from gateway.settings import (
    ListenSettings,
    OverloadSettings,
    Settings,
    SettingsError,
    WorkerSettings,
    check_address,
    default_workers,
    manifest_variables,
    read_environment,
)

app = typer.Typer(
    name="sluice",
    help="Sluice: an API gateway for Kubernetes manifests.",
    no_args_is_help=True,
    # Plain help: tables cut the names of flags at 80 columns.
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
            paths=existing_paths(paths or []),
            kubernetes=None if paths else kubernetes_settings(kubeconfig, context, namespace, state_dir, env),
            ambassador_id=ambassador_id or env.ambassador_id or "default",
            namespace=gateway_namespace(env),
            strict_label_selectors=env.strict_label_selectors,
            variables=manifest_variables(expand_variables or env.expand_variables),
            allow_unenforced_auth=allow_unenforced_auth or env.allow_unenforced_auth,
            consul=env.consul,
            status=status_settings(publish_service, publish_address, env) if status else None,
            access_log=access_log,
            log_level=level,
            log_json=env.json_logging,
            listen=ListenSettings(bind_address=bind_address, http_port=http_port, https_port=https_port),
            drain=drain_settings(drain_grace, drain_timeout, env),
            admin=admin_settings(admin_address, env, anywhere=allow_remote_diagnostics),
            workers=WorkerSettings(count=first(workers, env.workers, default_workers())),
            overload=OverloadSettings(max_connections, max_connections_per_address),
            reload=reload_settings(env, folder=bool(paths)),
        )
        check_ports(settings)
        check_address("--bind-address", bind_address)
        check_address("--admin-address", settings.admin.address)
    except SettingsError as error:
        fail(f"sluice run: {error}")
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

    cluster = ClusterChoice(kubeconfig, context, namespace)
    update = load_update(paths, cluster, expand_variables, allow_unenforced_auth=allow_unenforced_auth)
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
        print_findings(found, update)
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
        fail("sluice explain: write [PATH…] METHOD URL, for example: sluice explain manifests GET http://localhost/")
    *paths, method, url = arguments
    scheme, separator, rest = url.partition("://")
    if not separator:
        fail(f"sluice explain: {url!r} is no URL; write it with scheme and host, for example http://localhost{url}")
    if scheme.lower() not in ("http", "https"):
        fail(f"sluice explain: the scheme {scheme!r} is not served; write http:// or https://")
    try:
        ipaddress.ip_address(peer)
    except ValueError:
        fail(f"sluice explain: --peer {peer!r} is no IP address")
    headers = [_header(text) for text in header or ()]
    update = load_update(
        [Path(path) for path in paths],
        ClusterChoice(kubeconfig, context, namespace),
        expand_variables,
        allow_unenforced_auth=allow_unenforced_auth,
    )
    try:
        decision = Offline(update.sections).explain(method.upper(), f"{scheme.lower()}://{rest}", headers, peer)
    except REFUSED as error:
        fail(f"sluice explain: the request is refused: {' '.join(map(str, error.args))}", code=1)
    except ValueError as error:
        fail(f"sluice explain: {error}")
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

    cluster = ClusterChoice(kubeconfig, context, namespace)
    update = load_update(paths, cluster, expand_variables, allow_unenforced_auth=allow_unenforced_auth)
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


def _serve(settings: Settings) -> int:
    import uvloop

    from gateway.app import serve
    from gateway.plane.launch import raise_descriptor_limit

    configure_log(settings)
    raise_descriptor_limit()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, announce))
    except OSError as error:
        sys.stderr.write(f"sluice run: {error}\n")
        return 1


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        fail(f"sluice explain: {text!r} is no header; write -H 'Name: value'")
    return name.strip(), value.strip()
