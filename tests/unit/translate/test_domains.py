"""Contributions are grouped again only as far as they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gateway import ir
from gateway.translate.domains import group
from gateway.translate.virtualhosts import Contribution

if TYPE_CHECKING:
    from gateway.translate.domains import Domains

ORIGIN = ir.Origin("Host", "default", "a")
TLS = ir.TlsTermination(origin=ORIGIN, server_names=("a.x",), certificate="default/a")


def contribution(domain: str, host: bool, secured: bool) -> Contribution:
    terminations = (TLS,) if secured else ()
    return Contribution(domain, ORIGIN, "default", {}, (), "route" if host else None, terminations)


POOL = st.builds(contribution, st.sampled_from(["a.x", "b.x", "*.x", "*"]), st.booleans(), st.booleans())
ROUNDS = st.lists(st.lists(st.tuples(st.integers(0, 5), POOL), max_size=3), min_size=1, max_size=6)


def contents(domains: Domains) -> dict[str, list[int]]:
    return {domain: [id(item) for item in chosen] for domain, chosen in domains.chosen.items()}


@given(st.lists(POOL, min_size=1, max_size=6), ROUNDS, st.booleans())
def test_with_and_without_a_memory(
    first: list[Contribution], rounds: list[list[tuple[int, Contribution]]], alike: bool
) -> None:
    parts = list(first)
    earlier = group(parts, parts, None)
    for edits in rounds:
        before = contents(earlier)
        for place, item in edits:
            old = parts[place % len(parts)]
            parts[place % len(parts)] = contribution(old.domain, old.is_host, bool(old.terminations)) if alike else item
        lenders = parts[::2]
        now = group(parts, lenders, earlier)
        assert contents(now) == contents(group(parts, lenders, None))
        if now.changed is not None:
            others = (domain for domain, chosen in contents(now).items() if before[domain] != chosen)
            assert now.changed == frozenset(others)
        earlier = now


def test_other_routes_cost_their_domain() -> None:
    parts = [contribution(domain, host=True, secured=False) for domain in ("a.x", "b.x", "*.x")]
    before = group(parts, parts, None)
    parts[1] = contribution("b.x", host=True, secured=False)
    after = group(parts, parts, before)
    assert after.changed == frozenset({"b.x"})
    assert after.chosen["a.x"] is before.chosen["a.x"]
    assert group([*parts, parts[0]], parts, after).changed is None
