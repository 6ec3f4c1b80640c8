"""Split a YAML stream into documents without parsing it.

A line that starts with ``---`` begins a document wherever it stands, block and quoted scalars included (YAML 1.2.2,
production ``c-forbidden``), so that lines are enough. Each piece can be parsed and cached on its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER = re.compile(rb"^---(?=\s|\Z)", re.MULTILINE)
_NOT_BLANK = re.compile(rb"^[ \t]*[^#%\s]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one document with its marker, and the line (counted from 1) where it starts."""

    text: bytes
    line: int


def split_documents(content: bytes) -> Iterator[Piece]:
    """Yield the pieces of a stream in order; pieces of comments, directives and blank lines are left out."""
    starts = [match.start() for match in _MARKER.finditer(content)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    starts.append(len(content))
    line = 1
    for start, end in pairwise(starts):
        text = content[start:end]
        if _NOT_BLANK.search(text[3:] if text.startswith(b"---") else text):
            yield Piece(text, line)
        line += text.count(b"\n")
