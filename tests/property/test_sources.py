"""A file that is changed in any way gives what a fresh start would give, as long as it can be parsed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.resources import Mapping
from gateway.resources.reader import DEFAULT_SETTINGS
from gateway.resources.yamltree import parse_yaml
from gateway.sources.assembly import Assembly
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


FOLDERS = st.dictionaries(st.sampled_from(["a.yaml", "b.yaml", "c.yaml"]), DOCUMENTS, max_size=3)


@given(versions=st.lists(st.tuples(FOLDERS, st.booleans()), min_size=2, max_size=6))
@settings(max_examples=150, deadline=None)
def test_an_incremental_assembly_equals_a_full_one(versions: list[tuple[dict[str, list[str]], bool]]) -> None:
    """Objects declared several times, within a file and across files that come, go, and change places."""
    steady = Assembly()
    states: dict[str, FileState] = {}
    for folder, backwards in versions:
        states = {
            name: read_file_state("".join(documents).encode(), name, DEFAULT_SETTINGS, states.get(name))
            for name, documents in sorted(folder.items(), reverse=backwards)
        }
        state, fresh = steady.update(states, ()), Assembly().update(states, ())
        assert state.diagnostics == fresh.diagnostics
        assert state.resources.of(Mapping) == fresh.resources.of(Mapping)
        assert {item.key: item for item in state.resources} == {item.key: item for item in fresh.resources}
        for item in fresh.resources:
            assert state.resources.location(item.key) == fresh.resources.location(item.key)


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
