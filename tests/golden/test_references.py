"""What a source reads from a cluster because something refers to it is enough to translate everything as before."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.resources import ConfigMap, ResourceSet, Secret
from gateway.translate import TranslateSettings, translate
from gateway.translate.references import References
from tests.golden.compact import read

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.in.yaml"))
_SETTINGS = re.compile(r"^# settings: (.*)$", re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=[str(case.relative_to(HERE)).removesuffix(".in.yaml") for case in CASES])
def test_references_are_enough(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    found = _SETTINGS.search(text)
    settings = TranslateSettings(**json.loads(found[1])) if found else TranslateSettings()
    resources, _ = read(text)
    wanted = References(settings).of(ResourceSet.build(item for item in resources if not isinstance(item, Secret)))
    reduced = ResourceSet.build(
        item for item in resources if not isinstance(item, Secret | ConfigMap) or item.key in wanted
    )
    assert translate(reduced, settings) == translate(resources, settings)


def test_some_cases_refer_to_secrets() -> None:
    sets = [read(case.read_text(encoding="utf-8"))[0] for case in CASES]
    referring = [item for item in sets if any(key in item for key in References(TranslateSettings()).of(item))]
    assert len(referring) >= 5
