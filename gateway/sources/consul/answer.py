"""What Consul said, or why it said nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.resources.consul import ConsulInstance


class ConsulError(Exception):
    """No usable answer; the text says why. Worth another try, later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Instances that pass their checks, in order, each once."""

    instances: tuple[ConsulInstance, ...]
    index: int
    """``X-Consul-Index``: what to wait for a change of; 0 if Consul said none."""
    hidden: bool = False
    """Whether rules of access hid something: a token that was revoked sees no instances, and no error either."""
    unknown: bool = False
    """Whether we showed no token to a Consul that denies by default: then it says nothing about what it hides."""
    named: int = 0
    """Instances that were left out because their address is a name."""
