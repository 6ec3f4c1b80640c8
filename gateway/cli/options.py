"""Options that several commands have, and what becomes of all of them: settings."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer

from gateway.settings import (
    AdminSettings,
    DrainSettings,
    Environment,
    KubernetesSettings,
    ReloadSettings,
    Settings,
    SettingsError,
    StatusSettings,
    manifest_variables,
    own_namespace,
    parse_address,
    parse_service,
    read_environment,
)

if TYPE_CHECKING:
    from gateway.plane.pipeline import Update

USAGE = 2
"""Exit code of a wrong command line."""
_ADMIN_PORT = 8877
_QUIET = 0.05
"""See :attr:`gateway.settings.ReloadSettings.quiet`; longer than a translation, and than the writes of one ``kubectl
apply`` are apart."""

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


class ClusterChoice(NamedTuple):
    """Options that choose a cluster."""

    kubeconfig: str | None
    context: str | None
    namespaces: list[str] | None


def load_update(
    paths: list[Path] | None, cluster: ClusterChoice, expand_variables: list[str] | None, *, allow_unenforced_auth: bool
) -> Update:
    """Read and translate what a command is about. Ends the command when it cannot be read."""
    from gateway.plane.pipeline import load

    try:
        env = read_environment()
        return load(
            Settings(
                paths=existing_paths(paths or []),
                kubernetes=None if paths else kubernetes_settings(*cluster, None, env),
                ambassador_id=env.ambassador_id or "default",
                namespace=gateway_namespace(env),
                strict_label_selectors=env.strict_label_selectors,
                variables=manifest_variables(expand_variables or env.expand_variables),
                allow_unenforced_auth=allow_unenforced_auth or env.allow_unenforced_auth,
            )
        )
    except SettingsError as error:
        fail(f"sluice: {error}")
    except ConnectionError as error:
        fail(f"sluice: {error}", code=1)


def existing_paths(paths: list[Path]) -> tuple[str, ...]:
    """As text. Raises :class:`SettingsError` for one that is not there."""
    for path in paths:
        if not path.exists():
            raise SettingsError(f"{path} does not exist; name a file or folder of manifests")
    return tuple(map(str, paths))


def gateway_namespace(env: Environment) -> str:
    """Of the gateway itself."""
    return env.namespace or (own_namespace() if env.in_cluster else "") or "default"


def kubernetes_settings(
    kubeconfig: str | None, context: str | None, namespaces: list[str] | None, state_dir: str | None, env: Environment
) -> KubernetesSettings:
    """Which cluster, and what of it. Raises :class:`SettingsError`."""
    if find_spec("kubernetes") is None:
        raise SettingsError(
            "no PATH given, and the client of Kubernetes is missing: pip install 'sluice-gateway[kube]', "
            "or name a file or folder of manifests"
        )
    if kubeconfig is not None and not Path(kubeconfig).is_file():
        raise SettingsError(f"--kubeconfig {kubeconfig} does not exist, or is no file")
    only = (gateway_namespace(env),) if env.single_namespace else ()
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


def reload_settings(env: Environment, *, folder: bool) -> ReloadSettings:
    """How long changes wait for each other; those of a ``folder`` come in parts."""
    reload = ReloadSettings() if folder else ReloadSettings(quiet=_QUIET)
    return reload if env.reload_max_delay is None else replace(reload, max_delay=env.reload_max_delay)


def status_settings(service: str | None, addresses: list[str] | None, env: Environment) -> StatusSettings:
    """Raises :class:`SettingsError` for a Service that is not ``NAMESPACE/NAME``."""
    return StatusSettings(
        mappings=env.mapping_status,
        service=parse_service("--publish-service", service) if service else "",
        addresses=tuple(addresses or ()),
    )


def drain_settings(grace: float, timeout: float | None, env: Environment) -> DrainSettings:
    """An option wins over the environment."""
    drain = DrainSettings(grace=grace)
    chosen = timeout if timeout is not None else env.drain_time
    return drain if chosen is None else replace(drain, timeout=chosen)


def admin_settings(address: str | None, env: Environment, *, anywhere: bool) -> AdminSettings:
    """An option wins over the environment. Raises :class:`SettingsError`."""
    default = AdminSettings(env.admin_address or "127.0.0.1", first(env.admin_port, _ADMIN_PORT), anywhere)
    if address is None:
        return default
    host, port = parse_address(address, default.port)
    return replace(default, address=host, port=port)


def check_ports(settings: Settings) -> None:
    """Raises :class:`SettingsError` where two listeners would want one port."""
    listen, admin = settings.listen, settings.admin
    if listen.http_port and listen.http_port == listen.https_port:
        raise SettingsError(f"--http-port and --https-port are both {listen.http_port}; give them different ports")
    if admin.port and admin.port in {listen.http_port, listen.https_port}:
        raise SettingsError(f"the admin port {admin.port} is a data port too; change --admin-address")


def first(*values: int | None) -> int:
    """The first that is given."""
    return next(value for value in values if value is not None)


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Say why and end the command."""
    sys.stderr.write(message + "\n")
    raise typer.Exit(code)
