"""Sealed files: what was sealed comes out for the right key and place, and nothing else comes out at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.storage import chunks as stream
from synth_assets.storage.sealing import PrivateKey, bytes_of, seal, unseal

PLACE = "exchange:" + "a" * 32 + "/table.csv"


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_BYTES", 16)


def there_and_back(folder: Path, content: bytes, key: PrivateKey) -> bytes:
    (folder / "plain").write_bytes(content)
    seal(folder / "plain", folder / "sealed", key.public, PLACE)
    unseal(folder / "sealed", folder / "opened", key, PLACE)
    return (folder / "opened").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_a_file_of_any_size_comes_out_as_it_went_in(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert there_and_back(tmp_path, content, PrivateKey.fresh()) == content
    assert size < 16 or content[:64] not in (tmp_path / "sealed").read_bytes()
    assert (tmp_path / "opened").stat().st_mode & 0o077 == 0


@settings(max_examples=150)
@given(content=st.binary(max_size=80), position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_can_be_flipped(content: bytes, position: int, bit: int) -> None:
    key = PrivateKey.fresh()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "CHUNK_BYTES", 16)
        folder = Path(name)
        there_and_back(folder, content, key)
        sealed = bytearray((folder / "sealed").read_bytes())
        sealed[position % len(sealed)] ^= 1 << bit
        (folder / "sealed").write_bytes(bytes(sealed))
        (folder / "opened").unlink()
        with pytest.raises(InputError):
            unseal(folder / "sealed", folder / "opened", key, PLACE)
        assert not (folder / "opened").exists()


@pytest.mark.usefixtures("small_chunks")
def test_chunks_cannot_be_dropped_moved_or_cut_off(tmp_path: Path) -> None:
    key = PrivateKey.fresh()
    there_and_back(tmp_path, bytes(range(64)), key)
    sealed = (tmp_path / "sealed").read_bytes()
    header, body = sealed[:47], sealed[47:]
    chunks = [body[i : i + 32] for i in range(0, len(body), 32)]
    for wrong in (chunks[:-1], chunks[1:], [chunks[1], chunks[0], *chunks[2:]], [*chunks, chunks[0]], []):
        (tmp_path / "sealed").write_bytes(header + b"".join(wrong))
        with pytest.raises(InputError, match="cannot be opened"):
            unseal(tmp_path / "sealed", tmp_path / "other", key, PLACE)
        assert not (tmp_path / "other").exists()


def test_another_key_or_another_place_opens_nothing(tmp_path: Path) -> None:
    key = PrivateKey.fresh()
    there_and_back(tmp_path, b"content", key)
    with pytest.raises(InputError, match="another key or request"):
        unseal(tmp_path / "sealed", tmp_path / "other", PrivateKey.fresh(), PLACE)
    with pytest.raises(InputError, match="another key or request"):
        unseal(tmp_path / "sealed", tmp_path / "other", key, PLACE.replace("table", "other"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["opened", "plain", "sealed"]


@pytest.mark.parametrize("wrong", ["", "short", "ä" * 43, "A" * 43])
def test_what_is_no_public_key_seals_nothing(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "plain").write_bytes(b"content")
    with pytest.raises(InputError, match="no public key"):
        seal(tmp_path / "plain", tmp_path / "sealed", wrong, PLACE)
    assert not (tmp_path / "sealed").exists()


def test_a_file_that_was_never_sealed_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"name,age\nAnn,4\n" * 9)
    with pytest.raises(InputError, match="no sealed file"):
        unseal(tmp_path / "plain", tmp_path / "opened", PrivateKey.fresh(), PLACE)


def test_a_private_key_does_not_show_itself() -> None:
    key = PrivateKey(bytes(range(32)))
    assert "x00" not in repr(key)
    assert len(key.public) == 43
    assert (
        bytes_of(key.public).hex() == "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
    )  # RFC 7748's function of 0..31
