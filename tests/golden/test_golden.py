"""Manifests in, IR and diagnostics out. One behaviour per case; the comment in its first lines says which."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson
import pytest

from gateway.translate import TranslateSettings, translate
from tests.golden.compact import compact, read

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.in.yaml"))
_SETTINGS = re.compile(r"^# settings: (.*)$", re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=[str(case.relative_to(HERE)).removesuffix(".in.yaml") for case in CASES])
def test_case(case: Path, update_golden: bool) -> None:
    text = case.read_text(encoding="utf-8")
    found = _SETTINGS.search(text)
    settings = TranslateSettings(**json.loads(found[1])) if found else TranslateSettings()
    resources, findings = read(text)
    result = translate(resources, settings)
    got = orjson.dumps(
        {
            "gateway": compact(result.gateway),
            "diagnostics": [str(item) for item in [*findings, *result.diagnostics]],
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
    expected = case.with_name(case.name.replace(".in.yaml", ".out.json"))
    if update_golden:
        expected.write_bytes(got)
    assert expected.exists(), "new case: run pytest tests/golden --update-golden and review the result"
    assert got.decode() == expected.read_text(encoding="utf-8")


def test_there_are_cases() -> None:
    assert len(CASES) >= 40
