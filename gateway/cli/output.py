"""What commands print for people."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from gateway.app import Gateway
    from gateway.diagnostics import Diagnostic, Severity
    from gateway.plane.pipeline import Update
    from gateway.settings import Settings

_SHOWN_OBJECTS = 5
"""Objects that an entry of ``check`` names."""

_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "notice": "cyan"}


def announce(gateway: Gateway) -> None:
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


def print_findings(found: list[Diagnostic], update: Update) -> None:
    """Findings as ``check`` tells them, and last what will be different from Emissary."""
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
