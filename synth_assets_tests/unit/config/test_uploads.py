"""`configs/uploads.yaml`: defaults without a file, errors with file and key, and the dataset of an upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synth_assets.config.runtime import Settings
from synth_assets.config.uploads import UploadsConfig, load_uploads
from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.uploads.opening import inbox_words, open_inbox


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    config = load_uploads(tmp_path)
    assert (config.max_upload_mb, config.max_bytes) == (100, 100_000_000)
    assert config.dataset("upload_a").population == "upload_a"
    assert [s.name for s in config.dataset("upload_a").synthesizers] == ["dp_marginals"]


def test_all_uploads_may_share_one_population() -> None:
    config = UploadsConfig(population="clinic")
    assert {config.dataset(n).population for n in ("upload_a", "upload_b")} == {"clinic"}


def test_an_unknown_key_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "uploads.yaml").write_text("after: keep\nmax_upload: 5\n")
    with pytest.raises(ConfigError, match="line 2.*max_upload"):
        load_uploads(tmp_path)


def test_a_chain_that_no_upload_can_have_is_an_error_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "uploads.yaml").write_text("synthesizers: [{name: hma}]\n")
    with pytest.raises(ConfigError, match="uploads.yaml"):
        load_uploads(tmp_path)


@pytest.mark.parametrize("place", ["inbox", "http://drops.example/in"])
def test_an_inbox_that_is_neither_a_path_nor_a_bucket_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_INBOX", place)
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_INBOX"):
        Settings.from_environment(tmp_path)


def test_the_inbox_is_in_the_home_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_inbox(Settings.from_environment(tmp_path)).place == str(tmp_path / "inbox")
    monkeypatch.setenv("SYNTH_ASSETS_INBOX", "s3://drops/in")
    assert open_inbox(Settings.from_environment(tmp_path)).place == "s3://drops/in/"


@pytest.mark.parametrize("look", [open_inbox, inbox_words])
def test_an_inbox_that_is_named_and_not_there_is_an_error_and_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Settings], object]
) -> None:
    home, gone = tmp_path / "home", tmp_path / "not mounted"
    monkeypatch.setenv("SYNTH_ASSETS_INBOX", str(gone))
    with pytest.raises(ServiceUnavailableError, match="there is no such folder") as raised:
        look(Settings.from_environment(home))
    assert (raised.value.file, raised.value.key) == (str(gone), "SYNTH_ASSETS_INBOX")
    assert not gone.exists()
    gone.mkdir()
    (gone / "Jane Roe.csv").write_text("a\n")
    (gone / ".half.csv.tmp").write_text("a\n")
    assert inbox_words(Settings.from_environment(home)) == f"{gone}: files that lie there: 1."


def test_an_inbox_below_the_home_is_made_by_its_sensor_and_not_by_who_only_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("inbox", "var/inbox"):
        monkeypatch.setenv("SYNTH_ASSETS_INBOX", str(tmp_path / place))
        settings = Settings.from_environment(tmp_path)
        assert "made when the sensor" in inbox_words(settings)
        assert not (tmp_path / place).exists()
        open_inbox(settings)
        assert (tmp_path / place).stat().st_mode & 0o777 == 0o700
