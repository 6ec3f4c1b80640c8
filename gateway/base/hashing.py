"""Content hashes that are equal in every process and release of Python."""

from __future__ import annotations

from hashlib import blake2b

DIGEST_BYTES = 16
"""128 bits: an accidental collision among 10 million contents has a chance below 1e-24."""


def content_digest(content: bytes | bytearray | memoryview) -> bytes:
    """Return the BLAKE2b digest (:data:`DIGEST_BYTES` bytes) of ``content``."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def content_hash(*parts: str) -> str:
    """Return a hexadecimal hash of a sequence of strings; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()
