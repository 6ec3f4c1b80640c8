"""Following a folder with the real watcher. Nothing sleeps: every step waits for the state it expects."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from gateway.resources import Mapping
from gateway.sources import DirectorySource, SourceState, directory
from gateway.sources.loader import Loader
from gateway.sources.watcher import RESCAN_S, WatchPlan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

PATIENCE_S = 20.0


def mapping(name: str, prefix: str = "/") -> str:
    return (
        f"---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  name: {name}\n"
        f"spec:\n  prefix: {prefix}\n  service: quote\n"
    )


def routes(state: SourceState) -> dict[str, str]:
    return {item.name: item.spec.prefix for item in state.resources.of(Mapping)}


def codes(state: SourceState) -> list[str]:
    return [found.code for found in state.diagnostics]


async def until(states: AsyncGenerator[SourceState, None], expected: Callable[[SourceState], bool]) -> SourceState:
    async with asyncio.timeout(PATIENCE_S):
        async for state in states:
            if expected(state):
                return state
    raise AssertionError("the source ended")


async def test_changes_arrive(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a"))
    async with aclosing(DirectorySource([tmp_path]).watch()) as states:
        first = await until(states, lambda state: routes(state) == {"a": "/"})
        kept = first.resources.of(Mapping)[0]
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "b.yaml").write_text(mapping("b"))
        second = await until(states, lambda state: routes(state) == {"a": "/", "b": "/"})
        assert second.resources.of(Mapping)[0] is kept
        (tmp_path / "a.yaml").write_text(mapping("a", "/new/"))
        await until(states, lambda state: routes(state) == {"a": "/new/", "b": "/"})
        (tmp_path / "sub" / "b.yaml").unlink()
        await until(states, lambda state: routes(state) == {"a": "/new/"})


async def test_a_change_is_seen_by_an_event_not_by_the_rescan(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(mapping("a"))
    async with aclosing(DirectorySource([tmp_path]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/"})
        started = asyncio.get_running_loop().time()
        (tmp_path / "a.yaml").write_text(mapping("a", "/new/"))
        await until(states, lambda state: routes(state) == {"a": "/new/"})
        assert asyncio.get_running_loop().time() - started < RESCAN_S / 2


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[Loader]:
    """One entry for each time that somebody looked at the files."""
    looks: list[Loader] = []
    scan = Loader.scan

    def counted(loader: Loader) -> SourceState:
        looks.append(loader)
        return scan(loader)

    monkeypatch.setattr(Loader, "scan", counted)
    return looks


def swap(folder: Path, version: str, content: str) -> None:
    (folder / f"..{version}").mkdir()
    (folder / f"..{version}" / "a.yaml").write_text(content)
    (folder / "..data_tmp").symlink_to(f"..{version}")
    os.replace(folder / "..data_tmp", folder / "..data")


@pytest.mark.parametrize("given", ["the folder", "the file"])
async def test_a_swapped_config_map_is_followed(tmp_path: Path, given: str) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    swap(folder, "1", mapping("a", "/1/"))
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    path = folder if given == "the folder" else folder / "a.yaml"
    async with aclosing(DirectorySource([path]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/1/"})
        for version in ("2", "3"):
            swap(folder, version, mapping("a", f"/{version}/"))
            state = await until(states, lambda state, prefix=f"/{version}/": routes(state) == {"a": prefix})  # type: ignore[misc]
            assert state.diagnostics == ()


async def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out" / "deep"
    folder.mkdir()
    outside.mkdir(parents=True)
    (outside / "x.yaml").write_text(mapping("a", "/1/"))
    (folder / "a.yaml").symlink_to(outside / "x.yaml")
    async with aclosing(DirectorySource([folder]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/1/"})
        (outside / "x.yaml").write_text(mapping("a", "/2/"))
        await until(states, lambda state: routes(state) == {"a": "/2/"})


async def test_a_replaced_file_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a", "/1/"))
    async with aclosing(DirectorySource([file]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/1/"})
        (tmp_path / "new").write_text(mapping("a", "/2/"))
        os.replace(tmp_path / "new", file)
        await until(states, lambda state: routes(state) == {"a": "/2/"})
        file.unlink()
        state = await until(states, lambda state: codes(state) == ["path-missing"])
        assert routes(state) == {"a": "/2/"}
        file.write_text(mapping("a", "/3/"))
        await until(states, lambda state: routes(state) == {"a": "/3/"})


async def test_a_folder_that_comes_later_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "later"
    async with aclosing(DirectorySource([folder]).watch()) as states:
        await until(states, lambda state: [found.code for found in state.diagnostics] == ["path-missing"])
        folder.mkdir(parents=True)
        (folder / "a.yaml").write_text(mapping("a"))
        await until(states, lambda state: routes(state) == {"a": "/"})


@pytest.mark.parametrize("how", ["removed", "moved"])
async def test_a_folder_that_goes_away_keeps_its_objects_until_it_is_back(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.yaml").write_text(mapping(name))

    def back(state: SourceState) -> bool:
        return len(routes(state)) == 1 and not state.diagnostics

    async with aclosing(DirectorySource([folder]).watch()) as states:
        before = routes(await until(states, lambda state: len(routes(state)) == 3))
        for version in ("/1/", "/2/"):
            if how == "removed":
                shutil.rmtree(folder)
            else:
                os.rename(folder, tmp_path / f"old{version[1]}")
            state = await until(states, lambda state: codes(state) == ["path-missing"])
            assert routes(state) == before
            folder.mkdir()
            (folder / "a.yaml").write_text(mapping("a", version))
            before = routes(await until(states, back))
            assert before == {"a": version}
        started = asyncio.get_running_loop().time()
        (folder / "a.yaml").write_text(mapping("a", "/3/"))
        await until(states, lambda state: routes(state) == {"a": "/3/"})
        assert asyncio.get_running_loop().time() - started < RESCAN_S / 2, "the new folder is watched"


async def test_a_folder_that_is_being_emptied_is_not_believed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.yaml").write_text(mapping(name))
    monkeypatch.setattr(directory, "SETTLE_S", 0.2)
    async with aclosing(DirectorySource([folder]).watch()) as states:
        await until(states, lambda state: len(routes(state)) == 6)

        async def remove() -> None:
            for name in "abcdef":
                (folder / f"{name}.yaml").unlink()
                await asyncio.sleep(0.05)
            folder.rmdir()

        removal = asyncio.create_task(remove())
        state = await until(states, lambda state: bool(state.diagnostics))
        await removal
        assert len(routes(state)) == 6


async def test_a_missing_path_makes_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_looks(monkeypatch)
    async with aclosing(DirectorySource([tmp_path / "m"]).watch()) as states:
        await until(states, lambda state: codes(state) == ["path-missing"])
        following = asyncio.ensure_future(anext(states))
        await asyncio.sleep(0.2)
        before = len(looks)
        for number in range(20):
            (tmp_path / "log").write_text(f"{number}")
            (tmp_path / f"other{number}.yaml").write_text("x")
            await asyncio.sleep(0.02)
        assert len(looks) <= before + 1
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "a.yaml").write_text(mapping("a"))
        assert routes(await following) == {"a": "/"}


@pytest.mark.parametrize("given", ["a file", "a link", "a folder"])
async def test_changes_beside_manifests_make_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.yaml").write_text(mapping("a"))
    (real / "log").write_text("")
    (tmp_path / "link.yaml").symlink_to("real/a.yaml")
    path = {"a file": real / "a.yaml", "a link": tmp_path / "link.yaml", "a folder": real}[given]
    looks = count_looks(monkeypatch)
    async with aclosing(DirectorySource([path]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/"})
        following = asyncio.ensure_future(anext(states))
        await asyncio.sleep(0.2)
        before = len(looks)
        for number in range(20):
            (real / "log").write_text(f"{number}")
            if given != "a folder":
                (real / "other.yaml").write_text(f"{number}")
            await asyncio.sleep(0.02)
        assert len(looks) <= before + 1
        (real / "a.yaml").write_text(mapping("a", "/new/"))
        assert routes(await following) == {"a": "/new/"}


async def test_a_swapped_link_on_the_way_is_followed(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version / "m").mkdir(parents=True)
        (tmp_path / version / "m" / "a.yaml").write_text(mapping("a", f"/{version}/"))
    (tmp_path / "current").symlink_to("1")
    async with aclosing(DirectorySource([tmp_path / "current" / "m"]).watch()) as states:
        await until(states, lambda state: routes(state) == {"a": "/1/"})
        started = asyncio.get_running_loop().time()
        (tmp_path / "next").symlink_to("2")
        os.replace(tmp_path / "next", tmp_path / "current")
        await until(states, lambda state: routes(state) == {"a": "/2/"})
        assert asyncio.get_running_loop().time() - started < RESCAN_S / 2


async def test_a_partial_write_keeps_the_last_good_objects(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(mapping("a") + mapping("b"))
    async with aclosing(DirectorySource([tmp_path]).watch()) as states:
        await until(states, lambda state: len(routes(state)) == 2)
        with file.open("w") as stream:
            stream.write(mapping("a", "/new/") + "---\napiVersion: getambassador.io/v3al\nspec: {prefix: [")
            stream.flush()
            state = await until(states, lambda state: bool(state.diagnostics))
            assert routes(state) == {"a": "/", "b": "/"}
            assert [found.code for found in state.diagnostics] == ["file-invalid", "last-good-kept"]
        file.write_text(mapping("a", "/new/") + mapping("b"))
        state = await until(states, lambda state: not state.diagnostics)
        assert routes(state) == {"a": "/new/", "b": "/"}


async def test_closing_ends_the_watches(tmp_path: Path) -> None:
    states = DirectorySource([tmp_path]).watch()
    await anext(states)
    await states.aclose()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks


async def test_the_loop_stays_responsive_while_reading(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("".join(mapping(f"m{number}") for number in range(3_000)))
    async with aclosing(DirectorySource([tmp_path]).watch()) as states:
        reading = asyncio.ensure_future(anext(states))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(reading.result().resources) == 3_000
        assert turns > 10


def test_only_entries_that_matter_wake_the_loader(tmp_path: Path) -> None:
    root = tmp_path / "etc" / "routes"
    root.mkdir(parents=True)
    plan = WatchPlan.of([str(root)], [])
    assert plan.matters(None, str(root))  # type: ignore[arg-type]
    assert not plan.matters(None, str(tmp_path / "etc" / "other"))  # type: ignore[arg-type]
