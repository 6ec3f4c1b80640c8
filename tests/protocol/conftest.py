"""One upstream and one gateway per run for the tests that do not change the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.site import Edge, site
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.replies import echo

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def upstream() -> Iterator[Backend]:
    with Backend(echo) as running:
        yield running


@pytest.fixture(scope="session")
def shared_edge(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    ports = Ports(extra=2)
    with GatewayProcess(tmp_path_factory.mktemp("edge"), ports, site(ports, upstream.port)) as gateway:
        yield Edge(gateway, upstream)
        assert gateway.metric("sluice_native_panics_total") == 0


@pytest.fixture(scope="session")
def shared_relaxed_edge(upstream: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The gateway with every strict default that can be relaxed switched off."""
    ports = Ports(extra=2)
    objects = site(
        ports,
        upstream.port,
        headers_with_underscores_action="ALLOW",
        merge_slashes=True,
        reject_requests_with_escaped_slashes=False,
        preserve_external_request_id=True,
        suppress_envoy_headers=True,
    )
    with GatewayProcess(tmp_path_factory.mktemp("relaxed"), ports, objects) as gateway:
        yield Edge(gateway, upstream)
        assert gateway.metric("sluice_native_panics_total") == 0


def _checked(edge: Edge) -> Iterator[Edge]:
    """Whatever a test does, the upstream sees well-formed requests only and no worker dies."""
    edge.backend.reset()
    workers = edge.gateway.children()
    yield edge
    assert edge.backend.faults() == []
    assert edge.gateway.children() == workers, edge.gateway.log()


@pytest.fixture
def edge(shared_edge: Edge) -> Iterator[Edge]:
    yield from _checked(shared_edge)


@pytest.fixture
def relaxed_edge(shared_relaxed_edge: Edge) -> Iterator[Edge]:
    yield from _checked(shared_relaxed_edge)
