"""Small files are written whole or not at all, and what a killed writer has left goes with the next write."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from synth_assets.storage import atomic


def killed_while_it_writes(path: Path) -> None:
    """A process that dies between the content and the rename."""
    pid = os.fork()
    if pid == 0:
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign, assignment]
        atomic.write_text(path, "half")
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_what_a_killed_writer_has_left_goes_with_the_next_write_of_this_file_and_only_of_this_one(
    tmp_path: Path,
) -> None:
    for name in ("people.json", "a.people.json", "people", "b[1].json"):
        killed_while_it_writes(tmp_path / name)
    assert len(list(tmp_path.glob(atomic.TEMPORARY))) == 4
    atomic.write_text(tmp_path / "people.json", "whole")
    left = sorted(p.name.partition(".tmp")[0].rpartition(".")[0] for p in tmp_path.glob(atomic.TEMPORARY))
    assert left == [".a.people.json", ".b[1].json", ".people"]
    atomic.write_text(tmp_path / "b[1].json", "whole")
    assert (tmp_path / "people.json").read_text() == "whole"
    assert len(list(tmp_path.glob(atomic.TEMPORARY))) == 2


def test_what_a_living_writer_writes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, before_the_name, go = tmp_path / "note.json", threading.Event(), threading.Event()
    real = Path.replace

    def waits(self: Path, target: Path) -> Path:
        if threading.current_thread() is not threading.main_thread():
            before_the_name.set()
            assert go.wait(30)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", waits)
    slow = threading.Thread(target=atomic.write_text, args=(path, "slow"))
    slow.start()
    assert before_the_name.wait(30)
    atomic.write_text(path, "fast")
    assert len(list(tmp_path.glob(atomic.TEMPORARY))) == 1
    go.set()
    slow.join(30)
    assert path.read_text() == "slow"
    assert list(tmp_path.glob(atomic.TEMPORARY)) == []


def test_of_many_who_make_a_new_file_one_wins_and_all_read_its_content(tmp_path: Path) -> None:
    path, won = tmp_path / "key", []
    threads = [
        threading.Thread(target=lambda n=n: won.append((atomic.write_new(path, b"%d" % n), n))) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (winner,) = [n for first, n in won if first]
    assert path.read_bytes() == b"%d" % winner
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_file_system_without_nameless_files_makes_new_files_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without(path: Any, flags: int, *more: int, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", without)
    assert atomic.write_new(tmp_path / "key", b"first")
    assert not atomic.write_new(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_process_that_is_killed_while_it_makes_a_new_file_leaves_nothing(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os.link = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        atomic.write_new(tmp_path / "key", b"secret")
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert list(tmp_path.iterdir()) == []
