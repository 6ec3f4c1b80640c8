"""The corpus through Sluice, nginx and HAProxy: every disagreement has a documented reason, and Sluice is never the
laxest."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.protocol.corpus.generate import corpus
from tests.protocol.documented_stricter import BETWEEN, STRICTER
from tests.protocol.rivals import Rival
from tests.protocol.verdicts import MALFORMED, Requests, judge
from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.replies import echo

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.corpus.payload import Payload

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Case:
    """One payload and what each proxy made of it."""

    payload: Payload
    sluice: Requests
    nginx: Requests
    haproxy: Requests

    @property
    def relation(self) -> str:
        """``agree``, ``stricter``, ``between`` or ``laxer``; ``meaning`` when the same bytes are other requests."""
        rivals = (self.nginx, self.haproxy)
        if not self.sluice:
            return "stricter" if any(rivals) else "agree"
        if not any(rivals):
            return "laxer"
        understood = [verdict for verdict in rivals if verdict and verdict != MALFORMED]
        if understood and self.sluice not in understood:
            return "meaning"
        return "agree" if all(rivals) else "between"

    def __str__(self) -> str:
        verdicts = f"sluice={self.sluice} nginx={self.nginx} haproxy={self.haproxy}"
        return f"{self.payload.id}: {verdicts} {self.payload.data[:300]!r}"


def _judge_all(port: int, backend: Backend, payloads: list[Payload], into: list[Requests]) -> None:
    into.extend(judge(port, backend, payload) for payload in payloads)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder: Path = tmp_path_factory.mktemp("differential")
    payloads = corpus()
    verdicts: dict[str, list[Requests]] = {"sluice": [], "nginx": [], "haproxy": []}
    ports = Ports()
    with Backend(echo) as behind_sluice, Backend(echo) as behind_nginx, Backend(echo) as behind_haproxy:
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("all", "/", f"{LOOPBACK}:{behind_sluice.port}"),
        ]
        nginx = Rival("nginx", folder, behind_nginx.port)
        haproxy = Rival("haproxy", folder, behind_haproxy.port)
        try:
            with GatewayProcess(folder, ports, objects):
                fronts = {
                    "sluice": (ports.http, behind_sluice),
                    "nginx": (nginx.port, behind_nginx),
                    "haproxy": (haproxy.port, behind_haproxy),
                }
                threads = [
                    threading.Thread(target=_judge_all, args=(*fronts[name], payloads, verdicts[name]))
                    for name in fronts
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            nginx.stop()
            haproxy.stop()
        assert behind_sluice.faults() == []
    return [
        Case(*together)
        for together in zip(payloads, verdicts["sluice"], verdicts["nginx"], verdicts["haproxy"], strict=True)
    ]


def _listed(cases: list[Case], relation: str, allowed: dict[str, str]) -> str:
    return "\n".join(str(case) for case in cases if case.relation == relation and case.payload.rule not in allowed)


def test_the_corpus_is_large_enough(cases: list[Case]) -> None:
    assert len(cases) >= 500


def test_summary(cases: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    """One line for the log of a run."""
    counts = Counter(case.relation for case in cases)
    with capsys.disabled():
        print(
            "\ndifferential:", len(cases), "payloads,", ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
        )


def test_good_requests_pass(cases: list[Case]) -> None:
    refused = [str(case) for case in cases if case.payload.rule == "well-formed" and case.relation != "agree"]
    assert refused == []


def test_never_laxer_than_both(cases: list[Case]) -> None:
    assert _listed(cases, "laxer", {}) == ""


def test_the_same_bytes_are_the_same_requests(cases: list[Case]) -> None:
    assert _listed(cases, "meaning", {}) == ""


def test_every_stricter_verdict_has_a_reason(cases: list[Case]) -> None:
    assert _listed(cases, "stricter", STRICTER) == ""


def test_every_verdict_between_has_a_reason(cases: list[Case]) -> None:
    assert _listed(cases, "between", BETWEEN) == ""


def test_reasons_are_needed(cases: list[Case]) -> None:
    needed = {
        relation: {case.payload.rule for case in cases if case.relation == relation}
        for relation in ("stricter", "between")
    }
    assert (set(STRICTER) - needed["stricter"], set(BETWEEN) - needed["between"]) == (set(), set())
