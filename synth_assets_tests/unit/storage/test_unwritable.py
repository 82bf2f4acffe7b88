"""Whatever keeps a file from being written is one error of our own: what, in which folder, what to do; and no value of the data."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_assets.api.spending import open_budget
from synth_assets.automation import health
from synth_assets.cli.app import run
from synth_assets.config.runtime import Settings
from synth_assets.errors import DiskFullError, UnwritableError, withhold_values
from synth_assets.storage import atomic
from synth_assets.storage.artifacts import Zone

CANARY = "canary@example.org"
PASSPHRASE = "correct horse battery staple"


def mounted(folder: Path, options: str) -> Path:
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small file system (mount -t tmpfs)")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB. Needs the right to mount."""
    yield mounted(tmp_path / "small", "size=1m,mode=700")
    subprocess.run(["umount", "--lazy", str(tmp_path / "small")], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A disk that can only be read. Needs the right to mount."""
    yield mounted(tmp_path / "read_only", "size=1m,mode=700,ro")
    subprocess.run(["umount", "--lazy", str(tmp_path / "read_only")], check=True)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A table of some MB."""
    file = tmp_path / "people.csv"
    file.write_text("id,name\n" + "".join(f"{i},{CANARY}{i * 7919 % 1_000_003}\n" for i in range(60_000)))
    return file


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as out:
        for size in (4096, 1):
            while True:
                try:
                    out.write(b"x" * size)
                except OSError:
                    break


def mask(people: Path, out: Path, home: Path) -> int:
    return run(["mask", str(people), "-o", str(out), "--home", str(home)])


def test_a_command_on_a_full_disk_says_so_with_the_folder(
    small: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mask(people, small / "masked.csv", tmp_path / "home") == 5
    said = " ".join(capsys.readouterr().err.split())
    assert f"{small}: there is no room left. Make room there." in said
    assert CANARY not in said
    monkeypatch.setenv("SYNTH_ASSETS_BACKUP_PASSPHRASE", PASSPHRASE)
    fill(small)
    assert run(["backup", "--out", str(small / "home.backup"), "--home", str(tmp_path / "home")]) == 5
    assert f"{small}: there is no room left. Make room there." in " ".join(capsys.readouterr().err.split())
    assert [p.name for p in small.iterdir()] == ["filler"]


def test_a_disk_that_can_only_be_read_is_named(
    read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_BACKUP_PASSPHRASE", PASSPHRASE)
    open_budget(tmp_path / "home").declare("people", "row", 1.0, 1e-5)
    assert run(["backup", "--out", str(read_only / "home.backup"), "--home", str(tmp_path / "home")]) == 2
    assert f"{read_only}, key '--out': this folder cannot be written." in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UnwritableError, match="this disk can only be read"):
        atomic.write_bytes(read_only / "file", b"x")
    with pytest.raises(UnwritableError, match="this disk can only be read"):
        atomic.private_folder(read_only / "a" / "b")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda _: Path("/proc/masked.csv"), "/proc: no file can be made here"),
        (lambda folder: folder / f"{'a' * 250}.csv", "the name of the file is too long for this disk. Shorten it"),
        (
            lambda folder: folder / "people.csv" / "masked.csv",
            "people.csv, key '--out': this is a file and not a folder",
        ),
    ],
)
def test_a_place_where_no_file_can_be_is_named(
    place: Callable[[Path], Path], words: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mask(people, place(tmp_path), tmp_path / "home") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert "withheld" not in said
    assert CANARY not in said


def test_health_on_a_full_disk_names_the_folder_in_every_part(small: Path) -> None:
    settings = Settings.from_environment(small)
    (small / "var").mkdir(mode=0o700)
    fill(small)
    part = health._tried("store_masked", lambda: health._store(settings, Zone.MASKED))
    assert part.state == "failed"
    assert "there is no room left" in part.message
    assert str(small) in part.message
    assert "withheld" not in part.message


def test_a_ledger_on_a_full_disk_says_so(small: Path) -> None:
    budget = open_budget(small)
    budget.declare("people", "row", 1.0, 1e-5)
    fill(small)
    with pytest.raises(DiskFullError, match="there is no room left"):
        for epsilon in range(2, 3_000):  # what a file has in hand is used first
            budget.declare("people", "row", float(epsilon), 1e-5)


def test_a_limit_on_the_size_of_files_is_told_from_a_full_disk(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(UnwritableError, match="larger than this process or this disk allows") as refused:
            atomic.write_bytes(tmp_path / "file", b"x" * 2048)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.file == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "this user may not write here"),
        (errno.EPERM, "this user may not write here"),
        (errno.EROFS, "this disk can only be read"),
        (errno.ENOTDIR, "this is a file and not a folder"),
        (errno.ENAMETOOLONG, "the name of the file is too long"),
    ],
)
def test_each_reason_of_the_system_has_words_and_a_remedy(tmp_path: Path, number: int, words: str) -> None:
    with (
        pytest.raises(UnwritableError, match=words) as refused,
        withhold_values("a step"),
        atomic.replacing(tmp_path / "f"),
    ):
        raise OSError(number, CANARY, str(tmp_path / "f.tmp"))
    assert (refused.value.file, refused.value.exit_code, refused.value.code) == (str(tmp_path), 2, "unwritable")
    assert refused.value.remedy
    assert CANARY not in str(refused.value)
    assert refused.value.__suppress_context__
    with pytest.raises(OSError) as passed, atomic.replacing(tmp_path / "f"):  # noqa: PT011  of a file elsewhere: that one is read
        raise OSError(number, CANARY, "/elsewhere/f")
    assert not isinstance(passed.value, UnwritableError)


def test_what_a_library_says_in_words_is_asked_of_the_system_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "f"):
        raise RuntimeError(CANARY)
    assert list(tmp_path.iterdir()) == []

    def refuses(*_: object) -> int:
        raise PermissionError(errno.EACCES, CANARY)

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(UnwritableError, match="this user may not write here"), atomic.replacing(tmp_path / "f"):
        raise RuntimeError(CANARY)
