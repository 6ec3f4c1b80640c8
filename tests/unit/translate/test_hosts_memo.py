"""A Secret that changes costs the Hosts that refer to it, and their routes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.resources import ResourceSet, Secret, SecretData
from gateway.resources.reader import read_object
from gateway.translate import TranslateSettings, translate
from gateway.translate.ambassador.hosts import translate_host
from gateway.translate.memo import Memo
from tests.support.kubesource import host, mapping, secret

if TYPE_CHECKING:
    from gateway.resources import Host

SETTINGS = TranslateSettings()


def resources(*objects: dict[str, Any]) -> ResourceSet:
    return ResourceSet.build([item for raw in objects for item in read_object(raw).resources])


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the Hosts that were translated."""
    names: list[str] = []

    def counted(host: Host, *rest: Any) -> Any:
        names.append(host.name)
        return translate_host(host, *rest)

    monkeypatch.setattr("gateway.translate.ambassador.translate_host", counted)
    return names


def test_a_renewed_certificate_costs_its_hosts_and_no_route(translated: list[str]) -> None:
    memo = Memo()
    hosts = [host("a", "one"), host("b", "two"), host("c", "one"), host("d")]
    first = resources(*hosts, mapping("m"), secret("one"), secret("two"))
    before = translate(first, SETTINGS, memo).gateway
    assert translated == ["a", "b", "c", "d"]
    translated.clear()
    old = first.get(Secret, "default", "one")
    assert old is not None
    new = msgspec.structs.replace(old, data=SecretData({"tls.crt": b"renewed", "tls.key": b"key"}))
    second = first.replaced({new.key: new}, {})
    after = translate(second, SETTINGS, memo)
    assert translated == ["a", "c"]
    pairs = zip(before.virtual_hosts, after.gateway.virtual_hosts, strict=True)
    assert all(one is other for one, other in pairs)
    assert [item.chain for item in after.gateway.certificates] == ["renewed", "first"]
    assert after == translate(second, SETTINGS)
    translated.clear()
    gone = second.replaced({new.key: None}, {})
    assert translate(gone, SETTINGS, memo) == translate(gone, SETTINGS)
    assert translated == ["a", "c", "a", "b", "c", "d"]
    translated.clear()
    back = translate(second, SETTINGS, memo)
    assert translated == ["a", "c"]
    assert back == translate(second, SETTINGS)


def test_a_certificate_whose_host_cannot_have_tls_is_not_given_out() -> None:
    asking = host("a", "one")
    asking["spec"]["tls"] = {"ca_secret": "empty"}
    empty = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty", "namespace": "default"}, "data": {}}
    memo, all_of_it = Memo(), resources(asking, mapping("m"), secret("one"), empty)
    for _ in range(2):
        assert translate(all_of_it, SETTINGS, memo).gateway.certificates == ()
    assert translate(all_of_it, SETTINGS, memo) == translate(all_of_it, SETTINGS)
