"""A disk is full, or the memory for plain files: the error says where, and what to set; nothing half written stays."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ibis
import pytest

from synth_assets.cli.app import run
from synth_assets.errors import DiskFullError, InputError, UnexpectedError, naming_full, withhold_values
from synth_assets.storage import atomic, rooms
from synth_assets.tables.engine import Engine

CANARY = "canary@example.org"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB. Needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small file system (mount -t tmpfs)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # the room of this process is in it


def test_a_command_on_a_file_that_is_larger_than_the_work_folder_says_which_variable_names_another(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(rooms.VARIABLE, str(small))
    file = tmp_path / "people.csv"
    file.write_text("id,name\n" + "".join(f"{i},{CANARY}{i * 7919 % 1_000_003}\n" for i in range(120_000)))
    assert run(["mask", str(file), "-o", str(tmp_path / "masked.csv"), "--home", str(tmp_path / "home")]) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert "there is no room left" in said
    assert str(small) in said
    assert "set SYNTH_ASSETS_WORK_FOLDER to a folder of yours" in said
    assert CANARY not in said
    assert not (tmp_path / "masked.csv").exists()
    assert [p for p in small.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_what_the_table_engine_could_not_write_is_told_with_its_place(small: Path) -> None:
    numbers = ibis.range(0, 1_000_000).unnest().name("n").as_table()
    table = numbers.mutate(text=numbers.n.cast("string").hexdigest("sha256"))
    with Engine().session() as session, pytest.raises(DiskFullError) as full:
        session.write(table, small / "out")
    assert full.value.file == str(small / "out")
    assert full.value.exit_code == 5
    assert list((small / "out").iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENOSPC, CANARY), OSError(errno.EDQUOT, CANARY), ValueError(f"{CANARY}: No space left on device")],
)
def test_the_innermost_folder_is_the_one_that_is_named(tmp_path: Path, fault: Exception) -> None:
    with (
        pytest.raises(DiskFullError) as full,
        withhold_values("a step"),
        rooms.temporary(tmp_path),
        atomic.replacing(tmp_path / "deep" / "file.csv"),
    ):
        raise fault
    assert full.value.file == str(tmp_path / "deep")
    assert CANARY not in str(full.value)
    assert full.value.__suppress_context__
    with pytest.raises(DiskFullError, match="there is no room left in a step") as full, withhold_values("a step"):
        raise fault
    assert full.value.file is None
    assert "SYNTH_ASSETS_WORK_FOLDER" in str(full.value.remedy)


def test_other_faults_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    for fault in (OSError(errno.EACCES, "no"), ValueError("no")):
        with pytest.raises(UnexpectedError), withhold_values("a step"), naming_full(tmp_path):
            raise fault
    with pytest.raises(InputError), naming_full(tmp_path):
        raise InputError("the text No space left on device is ours here.")
