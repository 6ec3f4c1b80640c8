"""The process log."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.settings import Settings


def configure_log(settings: Settings) -> None:
    """To standard error, as text or JSON."""
    form = "%(asctime)s %(levelname)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if settings.log_json else logging.Formatter(form))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # It counts file system events, also those that mean nothing here.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # It warns of a missing kubeconfig without its name, before it raises.
    logging.getLogger("kubernetes").setLevel(logging.ERROR)


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
