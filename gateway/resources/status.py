"""``status`` of getambassador.io objects, as far as it has one. Clients read it; the gateway decides nothing by it."""

from typing import Literal

from gateway.resources.model import CamelPart

Phase = Literal["NA", "DefaultsFilled", "ACMEUserPrivateKeyCreated", "ACMEUserRegistered", "ACMECertificateChallenge"]


class Condition(CamelPart, frozen=True, kw_only=True, gc=False):
    """``metav1.Condition``."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str
    """RFC 3339."""
    observed_generation: int | None = None


class MappingStatus(CamelPart, frozen=True, kw_only=True, gc=False):
    """Whether a Mapping is served, and why not."""

    state: Literal["", "Inactive", "Running"] | None = None
    reason: str | None = None
    conditions: tuple[Condition, ...] = ()


class HostStatus(CamelPart, frozen=True, kw_only=True, gc=False):
    """Whether a Host is served; the phases are those of automatic certificates."""

    state: Literal["Initial", "Pending", "Ready", "Error"] | None = None
    tls_certificate_source: Literal["Unknown", "None", "Other", "ACME"] | None = None
    phase_completed: Phase | None = None
    phase_pending: Phase | None = None
    error_reason: str | None = None
    error_timestamp: str | None = None
    error_backoff: str | None = None
    conditions: tuple[Condition, ...] = ()
