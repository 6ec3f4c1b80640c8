"""What the data plane could not compile, in the words of the manifests: object, field, file and line.

The compiler names a section and a path in it (``virtual_host/*``, ``routes[0].match.path``). Every part of the IR
carries the origin of the object that asked for it; a route that several Hosts share is one object and one finding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway import ir
from gateway.diagnostics import Collector, Diagnostic, Origin
from gateway.resources import Module
from gateway.translate.origins import line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.plane.control import Issue
    from gateway.plane.pipeline import Update

Steps = tuple[tuple[str, int], ...]
"""A path: names, each with its index or -1."""

_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")
_INGRESS_ROUTE = re.compile(r"^ingress/[^/]+/[^/]+/(?:(\d+)-(\d+)|default-backend)$")
_REDIRECT = {"path": "path_redirect", "prefix": "prefix_redirect", "regex": "regex_redirect"}


def described(issues: Iterable[Issue], update: Update) -> tuple[Diagnostic, ...]:
    """The findings for ``issues`` of the configuration that ``update`` made; each once."""
    found = Collector()
    for section, path, message in issues:
        origin, field, outcome = _place(section, path, message, update.model)
        located = Diagnostic("error", "compile", f"{message}{outcome}", _known(origin, update), field)
        found.add(located.at_line(line_of(located.origin, update.resources)))
    return found.sorted()


def _place(section: str, path: str, message: str, model: ir.Gateway) -> tuple[ir.Origin, str, str]:
    """Origin, field and outcome of an issue. What cannot be found in the model is named by its section."""
    family, _, name = section.partition("/")
    steps = tuple((step[1], int(step[2]) if step[2] else -1) for step in _STEP.finditer(path))
    families: dict[str, tuple[ir.VirtualHost | ir.Listener | ir.Cluster | ir.Certificate, ...]] = {
        "virtual_host": model.virtual_hosts,
        "listener": model.listeners,
        "cluster": model.clusters,
        "certificate": model.certificates,
    }
    match next((piece for piece in families.get(family, ()) if piece.name == name), None):
        case ir.VirtualHost() as host:
            return _of_host(host, steps, message)
        case ir.Listener() as listener:
            return _of_listener(listener, steps, path)
        case ir.Cluster() as cluster:
            return _of_cluster(cluster, steps, model)
        case ir.Certificate() as certificate:
            field = {"chain": "data[tls.crt]", "private_key": "data[tls.key]"}.get(path, path)
            return certificate.origin, field, "; the last good certificate stays, if there was one"
    if family == "options":
        return ir.Origin("Module", "", "ambassador"), f"spec.config.{path}" if path else "", ""
    return ir.Origin(family, "", name), path, ""


def _of_host(host: ir.VirtualHost, steps: Steps, message: str) -> tuple[ir.Origin, str, str]:
    if len(steps) < 2 or steps[0][0] != "routes" or not 0 <= steps[0][1] < len(host.routes):
        return host.origin, "", ""
    route = host.routes[steps[0][1]]
    part, index = steps[1]
    if part == "match":
        return route.origin, _matching(route, steps[2:]), "; the route is not served"
    outcome = "; its requests are answered 500"
    if part == "choices" and 0 <= index < len(route.choices):
        choice = route.choices[index]
        return choice.origin, _action(route, choice, steps[2:], message), outcome
    names = {"cors": "spec.cors", "limits": "spec.labels", "shadows": "spec.shadow"}
    return route.origin, names.get(part, ""), outcome


def _matching(route: ir.Route, steps: Steps) -> str:
    """The field of a manifest that says what a route matches."""
    part, index = steps[0] if steps else ("path", -1)
    match = route.match
    if route.origin.kind == "Ingress":
        rule = _INGRESS_ROUTE.match(route.name)
        if rule is None or rule[1] is None:
            return "spec.rules"
        return (
            f"spec.rules[{rule[1]}].host"
            if part == "authority"
            else f"spec.rules[{rule[1]}].http.paths[{rule[2]}].path"
        )
    if part in ("headers", "query"):
        found, plain, regex = (
            (match.headers, "headers", "regex_headers")
            if part == "headers"
            else (match.query, "query_parameters", "regex_query_parameters")
        )
        if not 0 <= index < len(found):
            return f"spec.{plain}"
        item = found[index]
        return f"spec.{regex if item.match.kind == 'regex' else plain}.{item.name}"
    if part == "authority":
        return "spec.host" if match.authority is not None and match.authority.kind == "regex" else "spec.hostname"
    return {"path": "spec.prefix", "method": "spec.method"}.get(part, "")


def _action(route: ir.Route, choice: ir.Choice, steps: Steps, message: str) -> str:
    """The field of a manifest that says what a choice does."""
    names = [name for name, _ in steps]
    part, detail = (*names, "", "")[:2]
    if choice.origin.kind == "Ingress":
        rule = _INGRESS_ROUTE.match(route.name)
        return f"spec.rules[{rule[1]}].http.paths[{rule[2]}].backend" if rule is not None and rule[1] else "spec"
    if part == "forward":
        rewrite = choice.forward.path_rewrite if choice.forward is not None else None
        if detail == "host_rewrite" or rewrite is None:
            return "spec.host_rewrite"
        return f"spec.regex_rewrite.{_half(message)}" if rewrite.kind == "regex" else "spec.rewrite"
    if part == "redirect":
        if detail == "regex":
            return f"spec.regex_redirect.{_half(message)}"
        return f"spec.{_REDIRECT.get(detail, 'redirect_response_code' if detail == 'status' else 'service')}"
    if part in ("request_headers", "response_headers"):
        edits = choice.request_headers if part == "request_headers" else choice.response_headers
        verb = "remove" if any(f'"{name}"' in message for name in edits.remove) else "add"
        return f"spec.{verb}_{part}"
    return "spec.weight" if not part else ""


def _half(message: str) -> str:
    """Which half of a regex rewrite a message is about."""
    return "pattern" if message.startswith("regex ") else "substitution"


def _of_listener(listener: ir.Listener, steps: Steps, path: str) -> tuple[ir.Origin, str, str]:
    if len(steps) > 1 and steps[0][0] == "terminations" and 0 <= steps[0][1] < len(listener.terminations):
        termination = listener.terminations[steps[0][1]]
        names = ", ".join(termination.server_names)
        field = "spec.tls" if termination.origin.kind == "Ingress" or steps[1][0] != "certificate" else "spec.tlsSecret"
        return termination.origin, field, f"; TLS handshakes for {names} are refused"
    return listener.origin, path, ""


def _of_cluster(cluster: ir.Cluster, steps: Steps, model: ir.Gateway) -> tuple[ir.Origin, str, str]:
    """A cluster is what its users ask for: the first of them is named."""
    users = sorted(set(_users(cluster.name, model)), key=lambda user: (user.kind, user.namespace, user.name))
    if not users:
        return cluster.origin, "", ""
    others = len(users) - 1
    more = f" ({others} more object{'s use' if others > 1 else ' uses'} this upstream)" if others else ""
    field = "spec.tls" if steps and steps[0][0] == "tls" else "spec.service"
    if users[0].kind == "Ingress":
        field = "spec.rules"
    return users[0], field, f"; nothing is sent to it{more}"


def _users(name: str, model: ir.Gateway) -> Iterator[ir.Origin]:
    for host in model.virtual_hosts:
        for route in host.routes:
            for choice in route.choices:
                if choice.forward is not None and choice.forward.cluster == name:
                    yield choice.origin
            if any(shadow.cluster == name for shadow in route.shadows):
                yield route.origin


def _known(origin: ir.Origin, update: Update) -> Origin:
    """The origin in the words of diagnostics; the Module of the gateway has a namespace and a file."""
    if origin.kind == "Module":
        for module in update.resources.of(Module):
            return module.origin
    return Origin(origin.kind, origin.namespace, origin.name, origin.path)
