"""What clients are told: error bodies, header names, gRPC statuses, and how it is logged and counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.h2client import h2_ask
from tests.support.ports import LOOPBACK, free_port
from tests.support.rawclient import ask, request
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.native

OVERRIDES = [
    {"on_status_code": 404, "body": {"text_format": "cannot find %REQ(:PATH)%"}},
    {"on_status_code": 503, "body": {"json_format": {"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%"}}},
    {"on_status_code": 504, "body": {"text_format": "took too long, sorry", "content_type": "apology"}},
]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(plain(200, b"fine")) as running:
        for status in (401, 404, 504):
            running.on(f"/up/{status}", plain(status, b"secret", ("Content-Type", "text/html"), ("X-Kept", "1")))
            running.on(f"/own/{status}", plain(status, b"secret"))
            running.on(f"/bypassed/{status}", plain(status, b"secret"))
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    ports = Ports()
    target, dead = f"{LOOPBACK}:{backend.port}", f"{LOOPBACK}:{free_port()}"
    own = [{"on_status_code": 401, "body": {"text_format": "who?"}}]
    objects = [
        m.listener("http", ports.http),
        m.host("any"),
        m.mapping("up", "/up/", target),
        m.mapping("own", "/own/", target, error_response_overrides=own),
        m.mapping("bypassed", "/bypassed/", target, bypass_error_response_overrides=True),
        m.mapping("dead", "/dead/", dead),
        m.module(
            error_response_overrides=OVERRIDES,
            header_case_overrides=["X-KEPT", "X-mark"],
            envoy_log_type="json",
            envoy_log_format={
                "mark": "%REQ(X-MARK)%",
                "status": "%RESPONSE_CODE%",
                "flags": "%RESPONSE_FLAGS%",
            },
        ),
    ]
    with GatewayProcess(tmp_path_factory.mktemp("answers"), ports, objects) as running:
        yield running
        assert running.metric("sluice_native_panics_total") == 0


@pytest.mark.parametrize(
    ("target", "status", "body", "kind"),
    [
        pytest.param("/none?q=1", 404, b"cannot find /none?q=1", "text/plain", id="no-route"),
        pytest.param("/up/404", 404, b"cannot find /up/404", "text/plain", id="upstream"),
        pytest.param("/up/504", 504, b"took too long, sorry", "apology", id="content-type"),
        pytest.param("/up/401", 401, b"secret", "text/html", id="other-status"),
        pytest.param("/dead/", 503, b'{"code":503,"flags":"UF"}', "application/json", id="gateway"),
        pytest.param("/own/401", 401, b"who?", "text/plain", id="of-the-mapping"),
        pytest.param("/own/404", 404, b"secret", None, id="instead-of-the-modules"),
        pytest.param("/bypassed/404", 404, b"secret", None, id="bypassed"),
    ],
)
def test_error_bodies(gateway: GatewayProcess, target: str, status: int, body: bytes, kind: str | None) -> None:
    answers = [ask(gateway.ports.http, request("GET", target)), h2_ask(gateway.ports.http, "GET", target)]
    for answer in answers:
        assert (answer.status, answer.body) == (status, body)
        assert answer.fields.get("content-type") == kind
        assert answer.fields.all("content-length") == [str(len(body))]


def test_header_names(gateway: GatewayProcess, backend: Backend) -> None:
    answer = ask(gateway.ports.http, request("GET", "/up/401", ("x-MARK", "case")))
    assert [name for name, _ in answer.fields.items if name.lower() == "x-kept"] == ["X-KEPT"]
    seen = [item for item in backend.requests if item.head.fields.get("x-mark") == "case"]
    assert [name for name, _ in seen[0].head.fields.items if name.lower() == "x-mark"] == ["X-mark"]
    framed = h2_ask(gateway.ports.http, "GET", "/up/401")
    assert [name for name, _ in framed.fields.items if name.lower() == "x-kept"] == ["x-kept"]


def test_grpc_clients_are_told_in_their_own_terms(gateway: GatewayProcess) -> None:
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    answer = h2_ask(gateway.ports.http, "POST", "/dead/", *fields, ("x-mark", "grpc"), body=b"")
    assert (answer.status, answer.fields.get("grpc-status"), answer.body) == (200, "14", b"")
    assert answer.fields.get("grpc-message") == "the upstream could not be reached"
    assert answer.fields.all("content-length") == []
    entry = json.dumps({"mark": "grpc", "status": 200, "flags": "UF"}, separators=(",", ":"))
    until(lambda: entry in gateway.log(), "the log line")
