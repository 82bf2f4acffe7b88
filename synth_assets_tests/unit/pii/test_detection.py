"""Detectors of identifiers in text behind one interface."""

from __future__ import annotations

import importlib.util
import itertools
import socket
from typing import Any

import pyarrow as pa
import pytest

from synth_assets.config.load import load_dataset
from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.pii.classify import classify_frame
from synth_assets.pii.detection import ENTITY_TYPES, text_detector
from synth_assets.pii.taxonomy import entity_types

NOTES = [
    f"Patient {i} called back, please write to anna.berg{i}@mail.example.org or ring (212) 555-01{i:02d} before the next visit"
    for i in range(10, 40)
]
needs_presidio = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None, reason="the extra presidio is not installed"
)


def test_every_type_of_presidio_maps_to_a_type_of_the_taxonomy() -> None:
    assert set(ENTITY_TYPES.values()) <= set(entity_types())


def test_an_unknown_detector_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no text detector") as caught:
        text_detector("gliner")  # type: ignore[arg-type]
    assert "builtin or presidio" in (caught.value.remedy or "")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    text_detector.cache_clear()
    with pytest.raises(ServiceUnavailableError, match="presidio-analyzer") as caught:
        text_detector("presidio")
    assert "synth-assets[presidio]" in (caught.value.remedy or "")


def test_the_builtin_detector_counts_texts_with_each_type() -> None:
    shares = text_detector("builtin").shares(pa.array([*NOTES, None]))
    assert shares["email"] == 1.0
    assert shares["phone"] == 1.0


def test_the_yaml_chooses_the_detector(tmp_path: Any) -> None:
    file = tmp_path / "d.yaml"
    file.write_text("name: d\nsource: {path: d.csv}\ntext_detector: presidio\n")
    assert load_dataset(file).text_detector == "presidio"


@needs_presidio
def test_presidio_finds_identifiers_without_overlaps_and_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the detector reached out to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    text = "Mail jane.doe@mail.example.org, card 4111 1111 1111 1111, SSN 219-09-9998"
    spans = text_detector("presidio").find(text)
    found = {(s.entity_type, text[s.start : s.end]) for s in spans}
    assert {("email", "jane.doe@mail.example.org"), ("card_number", "4111 1111 1111 1111")} <= found
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))


@needs_presidio
def test_both_detectors_tell_that_a_column_of_notes_identifies() -> None:
    frame = pa.table({"note": NOTES})
    for name in ("builtin", "presidio"):
        (verdict,) = classify_frame(frame, table_name="calls", text_detector=name)  # type: ignore[arg-type]
        assert verdict.entity_type == "free_text"
        assert verdict.identifier_class == "sensitive"
        assert any(e.startswith("text: 100% of the texts") and "email" in e for e in verdict.evidence)
