"""A file that is changed in any way gives what a fresh start would give, as long as it can be parsed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.resources.reader import DEFAULT_SETTINGS
from gateway.resources.yamltree import parse_yaml
from gateway.sources.filestate import FileState, read_file_state
from gateway.sources.yamlstream import split_documents


def document(name: str, prefix: str, comment: str) -> str:
    return (
        f"---\n{comment}apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {name}}}\n"
        f"spec: {{prefix: {prefix}, service: s}}\n"
    )


DOCUMENTS = st.lists(
    st.builds(document, st.sampled_from("abc"), st.sampled_from(["/x", "/z"]), st.sampled_from(["", "# c\n", "\n\n"])),
    min_size=1,
    max_size=6,
)


def content(state: FileState) -> list[tuple[str, str, int]]:
    return [
        (str(entry.key), str(entry.resource), placed.line + entry.line)
        for placed in state.pieces
        for entry in placed.parsed.entries
    ]


@given(versions=st.lists(DOCUMENTS, min_size=2, max_size=5))
@settings(max_examples=100, deadline=None)
def test_an_incremental_reading_equals_a_full_one(versions: list[list[str]]) -> None:
    state: FileState | None = None
    for documents in versions:
        text = "".join(documents).encode()
        state = read_file_state(text, "f.yaml", DEFAULT_SETTINGS, state)
        assert content(state) == content(read_file_state(text, "f.yaml", DEFAULT_SETTINGS, None))


@given(documents=DOCUMENTS, head=st.sampled_from(["", "# head\n", "\n", "%YAML 1.1\n"]))
@settings(max_examples=100, deadline=None)
def test_pieces_parse_to_what_the_whole_parses_to(documents: list[str], head: str) -> None:
    text = head + "".join(documents)
    whole = [(item.value, item.line) for item in parse_yaml(text)]
    pieces = [
        (item.value, item.line + piece.line - 1)
        for piece in split_documents(text.encode())
        for item in parse_yaml(piece.text.decode())
    ]
    assert pieces == whole


@given(noise=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_state(noise: bytes) -> None:
    for name in ("f.yaml", "f.json"):
        read_file_state(noise, name, DEFAULT_SETTINGS, None)
