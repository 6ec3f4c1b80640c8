"""What a definition says beside its schema: names, versions, columns, status.

Names, versions and columns are Emissary's, so that a cluster that has its definitions can be given these: the storage
version stays what it was, and every version stays served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from gateway.resources.status import HostStatus, MappingStatus

if TYPE_CHECKING:
    import msgspec

CATEGORY: Final = "ambassador-crds"
"""``kubectl get ambassador-crds`` lists all of them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    path: str
    type: Literal["string", "date"] = "string"


@dataclass(frozen=True, slots=True)
class Definition:
    """One kind. ``storage`` is one of ``versions``, which are in the order of age."""

    kind: str
    versions: tuple[str, ...] = ("v1", "v2", "v3alpha1")
    storage: str = "v2"
    columns: tuple[Column, ...] = ()
    status: type[msgspec.Struct] | None = None

    @property
    def singular(self) -> str:
        """The kind in lower case."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """As it stands in URLs of the API."""
        return f"{self.singular}s"


CATALOGUE: Final = (
    Definition("AuthService"),
    Definition("ConsulResolver"),
    Definition("DevPortal"),
    Definition(
        "Host",
        versions=("v2", "v3alpha1"),
        status=HostStatus,
        columns=(
            Column("Hostname", ".spec.hostname"),
            Column("State", ".status.state"),
            Column("Phase Completed", ".status.phaseCompleted"),
            Column("Phase Pending", ".status.phasePending"),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    ),
    Definition("KubernetesEndpointResolver"),
    Definition("KubernetesServiceResolver"),
    Definition(
        "Listener",
        versions=("v3alpha1",),
        storage="v3alpha1",
        columns=(
            Column("Port", ".spec.port"),
            Column("Protocol", ".spec.protocol"),
            Column("Stack", ".spec.protocolStack"),
            Column("StatsPrefix", ".spec.statsPrefix"),
            Column("Security", ".spec.securityModel"),
            Column("L7Depth", ".spec.l7Depth"),
        ),
    ),
    Definition("LogService"),
    Definition(
        "Mapping",
        status=MappingStatus,
        columns=(
            Column("Source Host", ".spec.host"),
            Column("Hostname", ".spec.hostname"),
            Column("Source Prefix", ".spec.prefix"),
            Column("Dest Service", ".spec.service"),
            Column("State", ".status.state"),
            Column("Reason", ".status.reason"),
        ),
    ),
    Definition("Module"),
    Definition(
        "RateLimit",
        versions=("v1beta1", "v1beta2", "v1", "v2", "v3alpha1"),
        columns=(Column("Domain", ".spec.domain"),),
    ),
    Definition("RateLimitService"),
    Definition("TCPMapping"),
    Definition("TLSContext"),
    Definition("TracingService"),
)
