"""A disk is full, or the memory for plain files: the error says where, and what to set; nothing half written stays."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.api.reading import ingested
from synth_assets.cli.app import run
from synth_assets.errors import DiskFullError, InputError, UnexpectedError, naming_full, withhold_values
from synth_assets.storage import atomic, rooms
from synth_assets.storage.secrets import key_fingerprint
from synth_assets.tables.readers import web
from synth_assets.tables.readers.limits import Limits

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


def _csv(rows: list[tuple[int, str]], file: Path) -> None:
    file.write_text("id,name\n" + "".join(f"{i},{name}\n" for i, name in rows))


def _gzip(rows: list[tuple[int, str]], file: Path) -> None:
    with gzip.open(file, "wt", compresslevel=1) as out:
        out.write("id,name\n" + "".join(f"{i},{name}\n" for i, name in rows))


def _parquet(rows: list[tuple[int, str]], file: Path) -> None:
    ids, names = zip(*rows, strict=True)
    pq.write_table(pa.table({"id": ids, "name": names}), file)


def _avro(rows: list[tuple[int, str]], file: Path) -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}]
    with file.open("wb") as out:
        fastavro.writer(out, {"type": "record", "name": "r", "fields": fields}, [{"id": i, "name": n} for i, n in rows])


WRITERS = {"csv": _csv, "csv.gz": _gzip, "parquet": _parquet, "avro": _avro}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_of_any_format_that_does_not_fit_is_not_taken_for_a_damaged_one(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv(rooms.VARIABLE, str(small))
    WRITERS[suffix]([(i, os.urandom(40).hex()) for i in range(60_000)], tmp_path / f"people.{suffix}")
    with pytest.raises(DiskFullError) as full, ingested(tmp_path / f"people.{suffix}"):
        pass
    assert str(full.value.file).startswith(str(small))


def test_a_download_that_does_not_fit_has_not_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(web, "copy_blocks", full)
    monkeypatch.setattr(web, "_open", lambda *_: nullcontext(SimpleNamespace(headers={})))
    with pytest.raises(DiskFullError), rooms.temporary(tmp_path) as folder:
        web.from_web("https://example.org/people.csv", folder, Limits())


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


def test_a_home_on_a_full_disk_still_loads_its_definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_MASTER_KEY", "ab" * 32)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert len(key_fingerprint(tmp_path / "keys")) > 0  # remembering it is no must
    with pytest.raises(DiskFullError):
        atomic.write_text(tmp_path / "must", "x")
