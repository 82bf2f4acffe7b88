"""gs:// and abfss:// through fsspec, stood in for by its file system in memory; patterns and long listings of s3://."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import ServiceUnavailableError, SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.transfer import safe_label
from synth_assets.tables.sources import source_fingerprint

pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty store behind gs:// and abfss://; paths are bucket/key, as the stores' own packages have them."""
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.registry import _registry

    class Store(MemoryFileSystem):
        store: dict[str, Any] = {}
        pseudo_dirs = [""]
        protocol = ("gs", "abfss")

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + str(path).partition("://")[2].strip("/") if "://" in str(path) else "/" + str(path).strip("/")

    Store.store.clear()
    for scheme in ("gs", "abfss"):
        monkeypatch.setitem(_registry, scheme, Store)
    yield Store()
    Store.clear_instance_cache()


@pytest.mark.parametrize("scheme", ["gs://clinic", "abfss://clinic@acme.dfs.core.windows.net"])
def test_objects_prefixes_and_patterns_are_read(read: Any, store: Any, scheme: str) -> None:
    place = scheme.partition("://")[2]
    store.pipe(f"/{place}/in/a.csv", b"id,x\n1,00\n")
    store.pipe(f"/{place}/in/b.csv", b"id,x\n2,b\n")
    store.pipe(f"/{place}/in/_SUCCESS", b"")
    assert read.source(SourceConfig(path=f"{scheme}/in/a.csv")).rows == [(1, "00")]
    assert read.source(SourceConfig(path=f"{scheme}/in/")).rows == [(1, "00"), (2, "b")]
    assert read.source(SourceConfig(path=f"{scheme}/in/*.csv")).rows == [(1, "00"), (2, "b")]
    first = source_fingerprint(SourceConfig(path=f"{scheme}/in/"), read.base)
    store.pipe(f"/{place}/in/b.csv", b"id,x\n2,longer\n")
    assert source_fingerprint(SourceConfig(path=f"{scheme}/in/"), read.base) != first


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs://clinic/gone.csv", "no such object"),
        ("gs://clinic/empty/", "no object"),
        ("gs://clinic/*.tsv", "no object"),
    ],
)
def test_addresses_without_an_object_are_refused(read: Any, store: Any, path: str, message: str) -> None:
    store.pipe("/clinic/a.csv", b"id\n1\n")
    with pytest.raises(SourceError, match=message):
        read.source(SourceConfig(path=path))


def test_an_object_beyond_the_limit_is_not_downloaded(read: Any, store: Any, small_limits: Limits) -> None:
    store.pipe("/clinic/a.csv", b"id\n" + b"1\n" * 2_000)
    with pytest.raises(SourceError, match="larger than"):
        read.source(SourceConfig(path="gs://clinic/a.csv"), limits=small_limits)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (PermissionError("CANARY"), SourceError, "refuses access"),
        (ConnectionError("CANARY"), ServiceUnavailableError, "ConnectionError"),
        (RuntimeError("CANARY"), ServiceUnavailableError, "RuntimeError"),
    ],
)
def test_a_store_that_fails_is_one_clear_error_without_its_text(
    read: Any, store: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], message: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(type(store), "info", fail)
    with pytest.raises(kind, match=message) as caught:
        read.source(SourceConfig(path="gs://clinic/a.csv"))
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "extra", "package"), [("gs", "gcs", "gcsfs"), ("abfss", "azure", "adlfs")])
def test_a_missing_package_is_named_by_its_extra(
    read: Any, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, scheme, raising=False)
    with pytest.raises(
        ServiceUnavailableError, match=rf"needs the extra `{extra}`.*pip install 'synth-assets\[{extra}\]'"
    ):
        read.source(SourceConfig(path=f"{scheme}://clinic/a.csv"))


def test_a_label_keeps_the_container_and_drops_what_may_be_secret() -> None:
    assert (
        safe_label("abfss://box@acme.dfs.core.windows.net/a.csv?sig=1") == "abfss://box@acme.dfs.core.windows.net/a.csv"
    )
    assert safe_label("gs://user:word@clinic/a.csv") == "gs://clinic/a.csv"
