"""Keys and hashes."""

from gateway.base.hashing import content_digest, content_hash
from gateway.base.keys import ObjectKey, kind_group


def test_keys_read_as_kubectl_writes_them() -> None:
    assert str(ObjectKey(kind_group("Mapping", "getambassador.io"), "shop", "quote")) == (
        "Mapping.getambassador.io shop/quote"
    )
    assert str(ObjectKey(kind_group("Service", ""), "", "quote")) == "Service quote"


def test_hashes_are_stable_and_keep_parts_apart() -> None:
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash("a") == "fc9c942180a48b1bfa36938828a429dc"
    assert len(content_digest(b"")) == 16
