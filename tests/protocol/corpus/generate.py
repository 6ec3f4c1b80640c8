"""The whole corpus: every mutation with its own random numbers, so that adding one changes no other."""

from __future__ import annotations

import random

from tests.protocol.corpus import chunk_mutations, head_mutations, mutations, target_mutations
from tests.protocol.corpus.payload import Payload

SEED = "sluice"


def corpus() -> list[Payload]:
    """All payloads, each with its own bytes."""
    payloads: dict[bytes, Payload] = {}
    for mutation in (*mutations.ALL, *chunk_mutations.ALL, *head_mutations.ALL, *target_mutations.ALL):
        rule = mutation.__name__.replace("_", "-")
        for detail, data in mutation(random.Random(f"{SEED}/{rule}")):
            payloads.setdefault(data, Payload(rule, detail, data))
    return list(payloads.values())
