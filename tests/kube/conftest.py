"""One control plane for all tests on a real Kubernetes, in a network of its own that every test of this folder is in.

Each test has a Namespace of its own (``kube.namespace``). What the test put there is gone before the next one begins.
"""

from __future__ import annotations

import asyncio
import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from gateway.resources.crds import definitions
from tests.support.kube.client import ApiError, KubeClient, client
from tests.support.kube.controlplane import ControlPlane
from tests.support.kube.network import Network
from tests.support.kube.node import Node
from tests.support.kube.programs import control_plane_program, lacking, node_programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_numbers = itertools.count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile before the first test: a test has a minute, the compiler needs several."""
    if session.config.option.collectonly or not any(item.get_closest_marker("kube") for item in session.items):
        return
    try:
        control_plane_program()
        node_programs()
    except AssertionError as error:
        raise pytest.UsageError(f"the programs of the cluster cannot be built:\n{error}") from None
    except (pytest.skip.Exception, pytest.fail.Exception):
        # Each test says so by itself.
        return


@pytest.fixture(scope="session")
def program() -> Path:
    """API server and controllers."""
    return control_plane_program()


@pytest.fixture(scope="session")
def network(program: Path) -> Iterator[Network]:
    assert program.exists()
    try:
        made = Network.create()
    except PermissionError:
        lacking("the right to make network namespaces")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _inside(network: Network) -> Iterator[None]:
    """The test, and what it starts, is where the cluster is."""
    with network.entered():
        yield


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, network: Network, program: Path) -> Iterator[ControlPlane]:
    """etcd, the API server and the controllers; no node, so pods stay pending."""
    plane = ControlPlane(tmp_path_factory.mktemp("cluster"), network, program)
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def node(control_plane: ControlPlane) -> Node:
    """From now on pods run."""
    started = Node(control_plane, node_programs())
    started.start()
    return started


@pytest_asyncio.fixture
async def kube(control_plane: ControlPlane, _inside: None) -> AsyncIterator[KubeClient]:
    """A client that may do everything; its namespace is one of this test, which is deleted with all that is in it."""
    name = f"test-{next(_numbers)}"
    async with client(control_plane.admin, name) as kube:
        await kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
        # No pod is accepted before.
        await kube.wait(await kube.path("v1", "ServiceAccount", "default"), bool, "made by its controller")
        yield kube
        # A Namespace takes five seconds to go, so what matters to others goes first and the rest by and by.
        await kube.clear()
        await kube.delete("v1", "Namespace", name)


@pytest.fixture
def namespace(kube: KubeClient) -> str:
    return kube.namespace


@pytest_asyncio.fixture
async def installed(kube: KubeClient) -> None:
    """The definitions of getambassador.io are there, and they stay: other tests need them too, or remove them first."""
    await asyncio.gather(*(install(kube, item) for item in definitions()))


async def install(kube: KubeClient, definition: dict[str, Any]) -> None:
    """Make a definition, once one that is on its way out is gone."""
    path = f"/apis/{definition['apiVersion']}/customresourcedefinitions/{definition['metadata']['name']}"
    try:
        if "deletionTimestamp" in (await kube.request("GET", path))["metadata"]:
            await kube.wait_gone(path)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    await kube.apply([definition])
