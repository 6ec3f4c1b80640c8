"""The printable form of a gateway: everything but private keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.base.hashing import content_hash

if TYPE_CHECKING:
    from gateway.ir.model import Gateway


def redacted(gateway: Gateway) -> dict[str, object]:
    """Return plain data for a JSON encoder, with each private key replaced by a word about it.

    The short hash tells two keys apart (was the new one really loaded?) and reveals nothing of a random key.
    """
    plain = asdict(gateway)
    for certificate in plain["certificates"]:
        certificate["private_key"] = f"<redacted {content_hash(certificate['private_key'])[:8]}>"
    return plain
