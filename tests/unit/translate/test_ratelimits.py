"""Binding of labels to limits, by the rules of the Edge Stack documentation."""

from __future__ import annotations

import pytest

from gateway.diagnostics import Origin
from gateway.resources import Metadata, ModuleConfig, RateLimit
from gateway.resources.policy import AddressLabel, GenericLabel, HeaderLabel, LabelSpecifier
from gateway.resources.ratelimit import Limit, RateLimitSpec
from gateway.translate.ambassador.ratelimits import LabelError, bind_limits, index_limits

API = LabelSpecifier(generic_key=GenericLabel(value="api", key="path"))
USER = LabelSpecifier(request_headers=HeaderLabel(key="user", header_name="X-User"))
ADDRESS = LabelSpecifier(remote_address=AddressLabel())


def bound(*groups: tuple[LabelSpecifier, ...], patterns: dict[str, tuple[dict[str, str], ...]]) -> list[str]:
    limits = tuple(Limit(name=name, pattern=pattern, rate=2, unit="second") for name, pattern in patterns.items())
    objects = RateLimit(
        metadata=Metadata(name="rl", namespace="d"), origin=Origin(), spec=RateLimitSpec(domain="x", limits=limits)
    )
    labels = {"x": tuple({"group": group} for group in groups)}
    found = bind_limits(labels, ModuleConfig(), index_limits([objects]), cluster="c", instance="i")
    return [item.name.rpartition("/")[2] for item in found]


@pytest.mark.parametrize(
    ("groups", "patterns", "expected"),
    [
        pytest.param([(API,)], {"a": ({"path": "api"},)}, ["a"], id="constant"),
        pytest.param([(API,)], {"a": ({"path": "web"},)}, [], id="other constant"),
        pytest.param([(API,)], {"a": ({"path": ""},), "b": ({"path": "*"},)}, ["a", "b"], id="any value"),
        pytest.param([(API,)], {"a": ({"path": "web", "user": "x"},)}, [], id="no alternative matches"),
        pytest.param([(API,)], {"a": ({"path": "api", "user": "x"},)}, ["a"], id="an alternative matches"),
        pytest.param([(API, USER)], {"a": ({"path": "api"},)}, ["a"], id="a group may go on"),
        pytest.param([(USER, API)], {"a": ({"path": "api"},)}, [], id="but not begin otherwise"),
        pytest.param([(API,)], {"a": ({"path": "api"}, {"user": ""})}, [], id="a pattern must not be longer"),
        pytest.param(
            [(API, USER)], {"a": ({"path": "api"},), "b": ({"path": "api"}, {"user": ""})}, ["b"], id="the longest wins"
        ),
        pytest.param(
            [(API, USER)],
            {"a": ({"path": "api"},), "b": ({"path": "api"}, {"user": "vip"})},
            ["b", "a"],
            id="unless it depends on the request",
        ),
        pytest.param(
            [(API,), (ADDRESS,)], {"a": ({"path": ""},), "b": ({"remote_address": ""},)}, ["a", "b"], id="groups"
        ),
        pytest.param([(API,)], {"a": ()}, [], id="empty pattern"),
    ],
)
def test_binding(
    groups: list[tuple[LabelSpecifier, ...]], patterns: dict[str, tuple[dict[str, str], ...]], expected: list[str]
) -> None:
    assert bound(*groups, patterns=patterns) == expected


def test_a_specifier_of_two_kinds_is_refused() -> None:
    both = LabelSpecifier(generic_key=GenericLabel(value="x"), remote_address=AddressLabel())
    with pytest.raises(LabelError):
        bound((both,), patterns={})


def test_a_group_of_two_names_is_refused() -> None:
    with pytest.raises(LabelError):
        bind_limits({"x": ({"a": (API,), "b": (API,)},)}, ModuleConfig(), index_limits([]), cluster="", instance="")
