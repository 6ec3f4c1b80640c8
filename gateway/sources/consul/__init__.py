"""Instances of services from Consul, added to what another source gives."""

from gateway.sources.consul.answer import ConsulError
from gateway.sources.consul.source import WithConsul

__all__ = ["ConsulError", "WithConsul"]
