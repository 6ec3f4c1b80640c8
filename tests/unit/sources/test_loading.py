"""Files and folders to objects: order, links, faults, and what survives a reload."""

from __future__ import annotations

import os
import shutil
from textwrap import indent
from typing import TYPE_CHECKING

import pytest

from gateway.resources import AuthService, Mapping, Module, diff
from gateway.sources import DirectorySource, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def mapping(name: str, prefix: str = "/", extra: str = "") -> str:
    return (
        f"---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  name: {name}\n"
        f"spec:\n  prefix: {prefix}\n  service: quote\n{extra}"
    )


def names(state: SourceState) -> list[str]:
    return [item.name for item in state.resources.of(Mapping)]


def codes(state: SourceState) -> list[str]:
    return [found.code for found in state.diagnostics]


def test_folders_are_read_recursively_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "b" / "z.yml").write_text(mapping("z"))
    (tmp_path / "a.yaml").write_text(mapping("one") + mapping("two"))
    (tmp_path / "c.json").write_text(
        '{"apiVersion": "getambassador.io/v2", "kind": "Mapping", "metadata": {"name": "j"},'
        ' "spec": {"prefix": "/", "service": "s"}}'
    )
    for ignored in ("readme.txt", ".d.yaml", ".hidden/e.yaml", "a.yaml~"):
        (tmp_path / ignored).write_text(mapping("ignored"))
    state = DirectorySource([tmp_path]).load()
    assert [item.name for item in state.resources] == ["one", "two", "z", "j"]
    assert state.diagnostics == ()
    second = state.resources.of(Mapping)[1]
    assert second.name == "one"
    two = state.resources.get(Mapping, "default", "two")
    assert two is not None
    place = state.resources.location(two.key)
    assert (place.path, place.document, place.line) == (str(tmp_path / "a.yaml"), 1, 10)


def test_a_file_may_be_given_directly_and_twice(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(mapping("a"))
    state = DirectorySource([file, file, tmp_path]).load()
    assert (names(state), codes(state)) == (["a"], [])


def mount(folder: Path, version: str, files: dict[str, str]) -> None:
    """Lay files out as the kubelet does, and swap the link as it does."""
    data = folder / f"..{version}"
    data.mkdir()
    for name, content in files.items():
        (data / name).write_text(content)
    link = folder / "..data_tmp"
    link.symlink_to(data.name)
    os.replace(link, folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    mount(tmp_path, "2026_1", {"a.yaml": mapping("a"), "b.yaml": mapping("b")})
    source = DirectorySource([tmp_path])
    first = source.load()
    assert (names(first), codes(first)) == (["a", "b"], [])
    mount(tmp_path, "2026_2", {"a.yaml": mapping("a"), "b.yaml": mapping("b", "/new/")})
    second = source.load()
    changes = diff(first.resources, second.resources)
    assert [(old.name, new.name) for old, new in changes.changed] == [("b", "b")]
    assert not changes.added
    assert not changes.removed


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.yaml").symlink_to("self.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    state = DirectorySource([tmp_path]).load()
    assert names(state) == ["a"]
    assert set(codes(state)) == {"file-unreadable", "file-irregular", "link-dangling"}
    (dangling,) = [found for found in state.diagnostics if found.code == "link-dangling"]
    assert (
        str(dangling)
        == f"{tmp_path}/gone.yaml: warning: is a link to nowhere.yaml, which does not exist [link-dangling]"
    )


def test_a_link_that_leads_nowhere_any_more_keeps_its_last_good_objects(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "blob").write_text(mapping("a"))
    (tmp_path / "m" / "a.yaml").symlink_to(tmp_path / "blob")
    source = DirectorySource([tmp_path / "m"])
    source.load()
    (tmp_path / "blob").unlink()
    state = source.load()
    assert (names(state), codes(state)) == (["a"], ["link-dangling"])
    assert state.diagnostics[0].severity == "error"
    (tmp_path / "m" / "a.yaml").unlink()
    assert names(source.load()) == []


def test_unchanged_objects_keep_their_identity(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a") + mapping("b") + mapping("c"))
    source = DirectorySource([tmp_path])
    first = source.load()
    assert source.load() is first
    file.write_text(
        "# moved down\n\n" + mapping("a") + mapping("b", "/x/") + "# comment only\n" + mapping("c", extra="# c\n")
    )
    second = source.load()
    changes = diff(first.resources, second.resources)
    assert [new.name for _, new in changes.changed] == ["b"]
    assert not changes.added
    assert not changes.removed
    moved = first.resources.of(Mapping)[0]
    assert second.resources.of(Mapping)[0] is moved
    assert second.resources.location(moved.key).line == first.resources.location(moved.key).line + 2


def test_findings_follow_an_object_that_moves(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a", extra="  colour: red\n"))
    source = DirectorySource([tmp_path])
    (before,) = source.load().diagnostics
    file.write_text("\n\n" + mapping("a", extra="  colour: red\n"))
    (after,) = source.load().diagnostics
    assert (before.line, after.line) == (2, 4)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda text: text[:-30] + "  x: [", "file-invalid", id="half-written"),
        pytest.param(lambda _: "", "file-invalid", id="truncated to nothing"),
        pytest.param(lambda text: text + "  prefix: /again\n", "file-invalid", id="duplicate key"),
        pytest.param(lambda text: text + "\0", "file-invalid", id="NUL"),
    ],
)
def test_a_file_that_cannot_be_parsed_keeps_its_last_good_objects(
    tmp_path: Path, spoil: Callable[[str], str], code: str
) -> None:
    file = tmp_path / "a.yaml"
    good = mapping("a") + mapping("b")
    file.write_text(good)
    (tmp_path / "other.yaml").write_text(mapping("other"))
    source = DirectorySource([tmp_path])
    first = source.load()
    file.write_text(spoil(good))
    (tmp_path / "other.yaml").write_text(mapping("other", "/changed/"))
    second = source.load()
    assert names(second) == ["a", "b", "other"]
    assert [new.name for _, new in diff(first.resources, second.resources).changed] == ["other"]
    assert codes(second) == [code, "last-good-kept"]
    assert source.load() is second
    file.write_text(good)
    third = source.load()
    assert (names(third), codes(third)) == (["a", "b", "other"], [])


def test_a_file_that_never_was_good_gives_what_can_be_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a") + "---\nx: [\n" + mapping("b"))
    state = DirectorySource([tmp_path]).load()
    assert names(state) == ["a", "b"]
    (found,) = state.diagnostics
    assert (found.code, found.line) == ("file-invalid", 11)


def test_a_refused_object_keeps_its_last_good_version(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a", "/good/") + mapping("b"))
    source = DirectorySource([tmp_path])
    first = source.load()
    file.write_text(mapping("a", "5") + mapping("b", "/changed/"))
    second = source.load()
    assert second.resources.of(Mapping)[0] is first.resources.of(Mapping)[0]
    assert second.resources.of(Mapping)[1].spec.prefix == "/changed/"
    assert codes(second) == ["field-type", "last-good-kept"]
    file.write_text(mapping("b", "/changed/"))
    assert names(source.load()) == ["b"]


def test_a_refused_object_without_history_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a", "5") + mapping("b"))
    state = DirectorySource([tmp_path]).load()
    assert (names(state), codes(state)) == (["b"], ["field-type"])


def test_a_deleted_file_takes_its_objects_along(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a"))
    (tmp_path / "b.yaml").write_text(mapping("b"))
    source = DirectorySource([tmp_path])
    source.load()
    (tmp_path / "a.yaml").unlink()
    assert names(source.load()) == ["b"]


@pytest.mark.parametrize("given", ["the folder", "the file", "a link"])
def test_a_path_that_goes_away_keeps_its_last_good_objects(tmp_path: Path, given: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a.yaml").write_text(mapping("a"))
    (tmp_path / "link").symlink_to("m")
    path = {"the folder": folder, "the file": folder / "a.yaml", "a link": tmp_path / "link"}[given]
    other = tmp_path / "z"
    other.mkdir()
    (other / "a.yaml").write_text(mapping("a", "/other/") + mapping("z"))
    source = DirectorySource([path, other])
    first = source.load()
    shutil.rmtree(folder)
    (other / "a.yaml").write_text(mapping("a", "/other/") + mapping("z", "/changed/"))
    state = source.load()
    assert state.resources.of(Mapping)[0] is first.resources.of(Mapping)[0], "nor does the order of files change"
    assert state.resources.of(Mapping)[1].spec.prefix == "/changed/"
    assert sorted(codes(state)) == ["object-duplicate", "path-missing"]
    (missing,) = [found for found in state.diagnostics if found.code == "path-missing"]
    assert missing.severity == "error"
    assert "last good objects stay in use" in missing.message
    assert "put it back" in missing.hint
    folder.mkdir()
    (folder / "a.yaml").write_text(mapping("b"))
    state = source.load()
    assert (names(state), codes(state)) == (["a", "b", "z"], [])


def test_a_folder_that_cannot_be_listed_keeps_its_last_good_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text(mapping("a"))
    source = DirectorySource([tmp_path])
    source.load()
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        state = source.load()
        assert (names(state), codes(state)) == (["a"], ["file-unreadable"])
        assert "permission denied; its last good objects stay in use" in state.diagnostics[0].message
    assert codes(source.load()) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, ["nothing-found"], id="empty"),
        pytest.param({"readme.txt": "hello"}, ["nothing-found"], id="no manifest"),
        pytest.param({"a.yaml": "# nothing yet\n"}, ["nothing-found"], id="comments"),
        pytest.param(
            {"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"},
            ["kind-ignored", "nothing-found"],
            id="other kinds",
        ),
        pytest.param({"a.yaml": "x: ["}, ["file-invalid"], id="an error says why"),
        pytest.param({"a.yaml": mapping("a", "5")}, ["field-type"], id="a refused object"),
        pytest.param({"a.yaml": mapping("a")}, [], id="an object"),
    ],
)
def test_a_path_without_objects_is_an_error(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    (tmp_path / "m").mkdir()
    for name, text in files.items():
        (tmp_path / "m" / name).write_text(text)
    other = tmp_path / "other.yaml"
    other.write_text(mapping("other"))
    state = DirectorySource([tmp_path / "m", other]).load()
    assert sorted(codes(state)) == expected
    for found in state.diagnostics:
        assert found.code != "nothing-found" or found.severity == "error"


def test_refused_objects_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a", "5") + mapping("b"))
    source = DirectorySource([tmp_path])
    assert (len(source.load().resources), source.load().refused) == (1, 1)
    file.write_text(mapping("a") + mapping("b"))
    assert (len(source.load().resources), source.load().refused) == (2, 0)
    file.write_text(mapping("a", "5") + mapping("b"))
    state = source.load()
    assert (len(state.resources), state.refused) == (2, 0), "its last good version is in use"
    file.unlink()
    assert source.load().refused == 0


def test_of_two_declarations_the_first_by_path_stays(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(mapping("same", "/b/"))
    (tmp_path / "a.yaml").write_text("# first\n" + mapping("same", "/a/"))
    source = DirectorySource([tmp_path])
    state = source.load()
    (kept,) = state.resources.of(Mapping)
    assert kept.spec.prefix == "/a/"
    (found,) = state.diagnostics
    assert found.code == "object-duplicate"
    assert f"{tmp_path}/a.yaml:3" in found.message
    assert f"{tmp_path}/b.yaml:2" in found.message
    (tmp_path / "a.yaml").unlink()
    assert source.load().resources.of(Mapping)[0].spec.prefix == "/b/"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a: \xff\n", "UTF-8", id="no UTF-8"),
        pytest.param("a: ü\n".encode("utf-16"), "", id="UTF-16"),
        pytest.param(b"- 1\n- 2\n", "expected an object", id="a list"),
    ],
)
def test_unusable_content_is_an_error_with_its_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    state = DirectorySource([tmp_path]).load()
    assert state.diagnostics[0].severity == "error"
    assert state.diagnostics[0].origin.path == str(tmp_path / "a.yaml")
    assert message in state.diagnostics[0].message


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + mapping("a").encode())
    assert names(DirectorySource([tmp_path]).load()) == ["a"]


def test_environment_variables_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST", "/secret/")
    (tmp_path / "a.yaml").write_text(mapping("a", "/${SLUICE_TEST}/"))
    assert DirectorySource([tmp_path]).load().resources.of(Mapping)[0].spec.prefix == "/${SLUICE_TEST}/"


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    (found,) = DirectorySource([tmp_path / "nowhere"]).load().diagnostics
    assert (found.code, found.origin.path) == ("path-missing", str(tmp_path / "nowhere"))


def test_address_rules_close_until_they_can_be_read(tmp_path: Path) -> None:
    """A Module that restricts addresses and never was good stands for "nobody"; one that was good stays."""

    def module(rule: str) -> str:
        spec = f"{{config: {{ip_deny: {rule}}}}}"
        return f"apiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {{name: ambassador}}\nspec: {spec}\n"

    def rules(state: SourceState) -> list[object]:
        return [(item.spec.config.ip_allow, len(item.spec.config.ip_deny or ())) for item in state.resources.of(Module)]

    file = tmp_path / "module.yaml"
    file.write_text(module("nonsense"))
    source = DirectorySource([tmp_path])
    first = source.load()
    assert (rules(first), codes(first)) == ([((), 0)], ["field-type"])
    file.write_text(module("other nonsense"))
    assert rules(source.load()) == [((), 0)]
    file.write_text(module("[{peer: 192.0.2.1}]"))
    good = source.load()
    assert (rules(good), codes(good)) == ([(None, 1)], [])
    file.write_text(module("nonsense"))
    last = source.load()
    assert (rules(last), codes(last)) == ([(None, 1)], ["field-type", "last-good-kept"])


HEAD = "apiVersion: getambassador.io/v3alpha1\nkind: "
GUARD = indent(f"{HEAD}AuthService\nname: guard\nauth_service: a:1\n", "      ")
INNER = indent(f"{HEAD}Mapping\nname: m\nprefix: /\nservice: s\n", "      ")


def annotated(text: str) -> str:
    head = "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    getambassador.io/config: |\n"
    return f"{head}{text}spec: {{}}\n"


def test_an_annotation_that_cannot_be_read_takes_nothing_away(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("other") + annotated(f"{GUARD}      ---\n{INNER}"))
    source = DirectorySource([tmp_path])
    good = source.load().resources
    assert (names(source.load()), [item.name for item in good.of(AuthService)]) == (["m", "other"], ["guard"])
    file.write_text(mapping("other", "/new/") + annotated(f"{GUARD}      a: [\n"))
    kept = source.load()
    assert names(kept) == ["m", "other"]
    assert kept.resources.of(AuthService) == good.of(AuthService)
    assert sorted(codes(kept)) == ["annotation-invalid", "last-good-kept", "last-good-kept"]
    file.write_text(annotated(INNER))
    assert not source.load().resources.of(AuthService)
    file.write_text(mapping("other"))
    assert names(source.load()) == ["other"]


def test_an_annotation_that_never_could_be_read_closes_what_it_mentions(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("other") + annotated(f"{GUARD}      a: [\n"))
    source = DirectorySource([tmp_path])
    state = source.load()
    assert [item.spec.auth_service for item in state.resources.of(AuthService)] == [""]
    assert codes(state) == ["annotation-invalid"]
    file.write_text(mapping("other", "/new/") + annotated(f"{GUARD}      a: [\n"))
    state = source.load()
    assert len(state.resources.of(AuthService)) == 1
    assert codes(state) == ["annotation-invalid"]
    file.write_text(annotated(GUARD))
    assert [item.spec.auth_service for item in source.load().resources.of(AuthService)] == ["a:1"]
