"""Contents of the health and diagnostics pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.admin.state import Facts


def alive() -> bytes:
    """Liveness: the loop answers. It depends on nothing else, so an outage elsewhere never restarts the pod."""
    return b"alive\n"


def ready(facts: Facts) -> bytes:
    """Readiness, with the configuration that is in force: equal hashes mean equal behaviour."""
    state = "ready" if facts.ready else f"not ready: {facts.reason}"
    return f"{state}\nconfig version {facts.version} hash {facts.digest or '-'}\n".encode()


def diagnostics(facts: Facts) -> dict[str, object]:
    """Findings in the manifests and what the workers could not compile. Holds no secret: messages never quote one."""
    return {
        "ready": facts.ready,
        "version": facts.version,
        "hash": facts.digest,
        "config_age_seconds": round(facts.config_age, 3),
        "workers": {"wanted": facts.workers_wanted, "ready": facts.workers_ready, "restarts": facts.restarts},
        "update_failures": facts.update_failures,
        "diagnostics": [diagnostic.to_json() for diagnostic in facts.diagnostics],
        "issues": [{"section": key, "field": path, "message": text} for key, path, text in facts.issues],
    }
