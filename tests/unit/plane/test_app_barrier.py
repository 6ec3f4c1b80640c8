"""A crash in one update is counted; what was in force stays."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from gateway import Gateway
from gateway.plane.pipeline import Translator
from tests.support import manifests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.native
SECRET = "-".join(("an", "invented", "secret"))


async def test_a_crashing_update_leaves_the_last_configuration_and_no_secret_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    manifests.write(tmp_path, "main.yaml", manifests.listener("web", 8080, security="INSECURE"))
    async with Gateway([str(tmp_path)], ephemeral=True) as gateway:
        before = gateway.facts()
        translate = Translator.translate

        def crash(self: Translator, state: Any) -> Any:
            raise KeyError(SECRET)

        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(Translator, "translate", crash)
            manifests.write(tmp_path, "more.yaml", manifests.mapping("a", "/a/", "127.0.0.1:9"))
            async with asyncio.timeout(10):
                await gateway.until(lambda: gateway.update_failures == 1)
        assert "KeyError" in caplog.text
        assert SECRET not in caplog.text
        assert gateway.facts().ready
        assert gateway.facts().digest == before.digest
        assert Translator.translate is translate
        manifests.write(tmp_path, "more.yaml", manifests.mapping("b", "/b/", "127.0.0.1:9"))
        async with asyncio.timeout(10):
            await gateway.until(lambda: gateway.applied > before.version)
