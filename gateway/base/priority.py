"""Who goes first when the processor is short: whatever waits for traffic."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final

BEHIND: Final = 5
"""Niceness (setpriority(2)) of what may come after traffic: on a busy processor it gets a quarter of it."""


def stand_back() -> None:
    """Let the calling thread come after others of this control group. Linux has a niceness per thread; those that it
    starts, and their processes, inherit it."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, max(BEHIND, os.getpriority(os.PRIO_PROCESS, thread)))
