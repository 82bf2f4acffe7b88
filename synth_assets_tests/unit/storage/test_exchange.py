"""The exchange area: references, a folder, and what nobody fetched."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from synth_assets.errors import ConfigError, InputError
from synth_assets.storage.exchange import (
    KEEP_SECONDS,
    PUBLIC_KEY_FILE,
    FolderArea,
    new_request,
    published_key,
    purge,
    reference,
    split_reference,
)


@pytest.fixture
def area(tmp_path: Path) -> FolderArea:
    return FolderArea(tmp_path / "area")


def test_a_reference_has_a_random_request_and_a_plain_name() -> None:
    one, other = new_request(), new_request()
    assert one != other
    assert split_reference(reference(one, "table.csv.gz")) == (one, "table.csv.gz")


@pytest.mark.parametrize("name", ["", "../a.csv", "a/b.csv", ".hidden", "a b.csv", "a.csv\n", "ann smith.csv"])
def test_no_name_leaves_the_folder_of_its_request(name: str) -> None:
    with pytest.raises(InputError, match="no place in the exchange area"):
        reference(new_request(), name)


def test_a_file_is_put_fetched_and_deleted_with_its_request(area: FolderArea, tmp_path: Path) -> None:
    request, source, target = new_request(), tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"sealed")
    area.put(source, f"{request}/table.csv")
    assert (tmp_path / "area" / request / "table.csv").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "area" / request).stat().st_mode & 0o777 == 0o700
    assert area.get(f"{request}/table.csv", target)
    assert target.read_bytes() == b"sealed"
    area.delete(request)
    assert not area.get(f"{request}/table.csv", target)
    assert list(area.requests()) == []


def test_what_nobody_fetched_in_a_week_is_deleted_and_the_public_key_stays(area: FolderArea, tmp_path: Path) -> None:
    source, old, young = tmp_path / "source", new_request(), new_request()
    source.write_bytes(b"x")
    for name in (f"{old}/a.csv", f"{young}/a.csv", PUBLIC_KEY_FILE):
        area.put(source, name)
    now = (tmp_path / "area" / young).stat().st_mtime
    os.utime(tmp_path / "area" / old, (0, now - KEEP_SECONDS - 1))
    assert purge(area, now=now) == 1
    assert [request for request, _ in area.requests()] == [young]
    assert (tmp_path / "area" / PUBLIC_KEY_FILE).exists()


def test_a_missing_public_key_names_the_command_that_puts_it_there(area: FolderArea, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="synth-assets exchange"):
        published_key(area, tmp_path)


def test_an_area_in_s3_does_the_same(s3_bucket: Any, tmp_path: Path) -> None:
    from synth_assets.storage.exchange_opening import open_area

    area, request, source, target = (
        open_area(f"s3://{s3_bucket.name}/shared"),
        new_request(),
        tmp_path / "source",
        tmp_path / "target",
    )
    source.write_bytes(b"sealed")
    for name in (f"{request}/table.csv", PUBLIC_KEY_FILE):
        area.put(source, name)
    assert area.get(f"{request}/table.csv", target)
    assert target.read_bytes() == b"sealed"
    assert [found for found, _ in area.requests()] == [request]
    assert purge(area) == 0
    assert purge(area, now=time.time() + KEEP_SECONDS + 5) == 1
    assert not area.get(f"{request}/table.csv", target)
    assert area.get(PUBLIC_KEY_FILE, target)


@pytest.mark.parametrize("place", ["exchange", "https://example.org/x", "s3://"])
def test_an_area_is_an_absolute_folder_or_a_prefix_in_s3(place: str) -> None:
    from synth_assets.storage.exchange_opening import open_area

    with pytest.raises(ConfigError, match="s3://bucket/prefix"):
        open_area(place)
