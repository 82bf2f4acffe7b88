"""The disk is full, PostgreSQL or S3 is cut, permissions are gone: the run fails with words, and a plain run afterwards completes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.hashing import hash_folder
from synth_assets_tests.faults import killing
from synth_assets_tests.faults.harness import DATASET, Home, Runs, faults_of, faults_of_records
from synth_assets_tests.faults.proxy import Proxy

DISK_BYTES = 24 * 2**20
DONE = ("settled", "done")
FREE_KILOBYTES = [700, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 100, 200, 300, 500, 900))]
FILE_BYTES = [pytest.param(n, marks=pytest.mark.slow) for n in (1_000, 20_000, 150_000)]


def completed(runs: Runs, home: Home, **options: Any) -> None:
    """A plain run, after which everything is whole."""
    done = runs.run(home, **options)
    assert done is not None
    assert (done["exit_code"], done["error"]) == (0, None)
    assert faults_of(home) == []
    assert home.states()[-1] == DONE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for `var`, with a quota: tmpfs. Needs the right to mount."""
    var = tmp_path / "home" / "var"
    var.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(var)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small file system (mount -t tmpfs)")
    yield var
    subprocess.run(["umount", str(var)], check=True)


@pytest.mark.parametrize("free", FREE_KILOBYTES)
def test_after_a_full_disk_a_plain_run_completes(runs: Runs, tmp_path: Path, small_disk: Path, free: int) -> None:
    home = Home.adopt(tmp_path / "home")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES - 1024 * free))
    full = runs.run(home)
    assert full is not None
    assert full["exit_code"] != 0, "the disk was not full"
    ballast.unlink()
    assert faults_of_records(home) == []
    completed(runs, home)


@pytest.mark.parametrize("size", FILE_BYTES)
def test_after_writes_that_break_off_in_the_middle_a_plain_run_completes(runs: Runs, tmp_path: Path, size: int) -> None:
    """Every file ends at a size (RLIMIT_FSIZE), as on a quota: the write before fails half done."""
    home = Home.make(tmp_path / "home")
    cut = runs.run(home, environment={killing.FILE_BYTES: str(size)})
    assert cut is not None
    assert cut["exit_code"] != 0
    assert faults_of_records(home) == []
    completed(runs, home)


@pytest.mark.parametrize("folder", ["release", "ledger", pytest.param("restricted", marks=pytest.mark.slow)])
def test_after_permissions_were_gone_a_plain_run_completes(runs: Runs, tmp_path: Path, folder: str) -> None:
    home = Home.make(tmp_path / "home")
    closed = home.folder / "var" / folder
    closed.mkdir(parents=True, mode=0o700)
    closed.chmod(0o500)
    refused = runs.run(home, environment={killing.PLAIN: "1"})
    closed.chmod(0o700)
    assert faults_of_records(home) == []
    assert refused is not None
    assert refused["exit_code"] == (5 if folder == "ledger" else 2), refused["error"]
    assert home.reads == (1 if folder == "release" else 0)
    assert len(home.states()) >= home.reads
    completed(runs, home, environment={killing.PLAIN: "1"})


def cut_at(runs: Runs, home: Home, proxy: Proxy, point: str, environment: dict[str, str]) -> dict[str, Any]:
    """A run whose service is cut when it reaches a point."""

    def cutter() -> None:
        while not home.witnesses or not (paused := home.witnesses[-1].with_suffix(".paused")).exists():
            time.sleep(0.02)
        proxy.cut()
        paused.with_suffix(".go").touch()

    thread = threading.Thread(target=cutter, daemon=True)
    thread.start()
    done = runs.run(home, environment={**environment, killing.PAUSE: point})
    thread.join(10)
    assert done is not None
    assert faults_of_records(home) == []  # before anything mends it
    return done


@pytest.mark.postgres
@pytest.mark.parametrize("point", ["in the fit", pytest.param("after reserve", marks=pytest.mark.slow)])
def test_after_postgresql_was_cut_a_plain_run_completes_and_what_was_read_is_counted(
    runs: Runs, tmp_path: Path, postgres_url: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, place = Home.make(tmp_path / "home"), urlsplit(postgres_url)
    proxy = Proxy(str(place.hostname), int(place.port or 5432))
    url = {
        "SYNTH_ASSETS_POSTGRES_URL": postgres_url.replace(f":{place.port}/", f":{proxy.port}/"),
        killing.IMPATIENT: "1",
    }
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", postgres_url)  # we look at it without the proxy
    try:
        cut = cut_at(runs, home, proxy, point, url)
        assert cut["exit_code"] != 0
        assert home.states() == [
            ("reading" if point == "in the fit" else "reserved", None)
        ]  # counted in full meanwhile
        proxy.join()
        completed(runs, home, environment=url)
        assert home.states()[0] == (("settled", "failed") if point == "in the fit" else ("released", None))
    finally:
        proxy.end()


@pytest.mark.parametrize("point", ["in the fit"])
def test_after_s3_was_cut_a_plain_run_completes_and_no_pointer_leads_to_half_an_artifact(
    runs: Runs, tmp_path: Path, s3_bucket: Any, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, place = Home.make(tmp_path / "home"), urlsplit(os.environ["SYNTH_ASSETS_S3_ENDPOINT"])
    proxy = Proxy(str(place.hostname), int(place.port or 80))
    zone = {"SYNTH_ASSETS_S3_RELEASE": f"s3://{s3_bucket.name}/release", "AWS_MAX_ATTEMPTS": "1"}
    through = {
        **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")},
        "SYNTH_ASSETS_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}", **zone,
    }  # fmt: skip
    monkeypatch.setenv("SYNTH_ASSETS_S3_RELEASE", zone["SYNTH_ASSETS_S3_RELEASE"])
    try:
        cut = cut_at(runs, home, proxy, point, through)
        assert cut["exit_code"] == 5
        assert home.states() == [DONE]  # it has measured, and paid; what it measured could not be stored
        elsewhere = store_of(Settings.from_environment(tmp_path / "another machine"))
        assert elsewhere.find(Zone.RELEASE, DATASET, "dp_measurements") is None
        proxy.join()
        completed(runs, home, environment=through)
        assert home.states() == [DONE, DONE]
        ref = elsewhere.current(Zone.RELEASE, DATASET, "dp_measurements")
        assert hash_folder(elsewhere.path(ref)) == ref.content_hash
    finally:
        proxy.end()
