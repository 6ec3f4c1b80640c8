"""How the collector of reference cycles treats the master's memory.

Configurations are large and have no cycles: reference counts free them. A collection finds nothing there and takes as
long as it takes to look: with 10,000 Mappings up to 240 ms each while they are read, and 20 to 130 ms now and then
afterwards, in the middle of a change. What does leave cycles, mostly connections and exceptions, is small.
"""

from __future__ import annotations

import gc

_YOUNG = 100_000
"""More objects than a change of a few Mappings makes and drops."""
_OLDER = 50
"""Collections of the young until one of the next generation."""


def spare() -> None:
    """Collect rarely from now on."""
    gc.set_threshold(_YOUNG, _OLDER, _OLDER)


def keep() -> None:
    """What is here now stays for the life of the process: it is never looked at again."""
    gc.collect()
    gc.freeze()
