"""Detectors of identifiers in running text behind one interface: the fast built-in one, and Presidio where its extra is installed.

What belongs here: the interface, the choice by name, the adapter to Presidio. What does not: the built-in forms (text.py), and what
a finding means for a column (context.py) or for masking. A dataset chooses with `text_detector` in its YAML.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from synth_assets.config.dataset import TextDetectorName
from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.pii import text
from synth_assets.pii.text import Span

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

LEAST_SCORE = 0.4  # Presidio's own patterns without context or check digits score below
PRESIDIO_CELLS = 100
MODELS = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
# Types of Presidio -> types of the taxonomy. What Presidio names and this table lacks is some national number.
ENTITY_TYPES = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "URL": "url", "IP_ADDRESS": "ip_address", "MAC_ADDRESS": "mac_address",
    "CREDIT_CARD": "card_number", "IBAN_CODE": "iban", "US_BANK_NUMBER": "account_number", "CRYPTO": "account_number",
    "US_SSN": "ssn", "US_ITIN": "itin", "US_PASSPORT": "passport", "US_DRIVER_LICENSE": "driver_license", "US_NPI": "npi",
    "US_MBI": "health_plan_id", "MEDICAL_LICENSE": "dea", "PERSON": "person_name", "LOCATION": "city", "DATE_TIME": "event_date",
    "NRP": "nationality", "ORGANIZATION": "organization",
}  # fmt: skip


class TextDetector(Protocol):
    """Finds identifiers in texts."""

    def find(self, value: str) -> tuple[Span, ...]:
        """Identifiers in one text, in order, without overlaps."""
        ...

    def shares(self, cells: pa.Array) -> dict[str, float]:
        """Entity type -> share of the filled cells that hold one, in (0, 1]."""
        ...


class BuiltinDetector:
    """Forms, check digits and name lists; about a thousand times as many texts per second as a language model."""

    def find(self, value: str) -> tuple[Span, ...]:
        """Identifiers in one text, in order, without overlaps."""
        return text.find_entities(value)

    def shares(self, cells: pa.Array) -> dict[str, float]:
        """Entity type -> share of the filled cells that hold one, in (0, 1]."""
        return text.entity_shares(cells)


class PresidioDetector:
    """Presidio's recognisers, with the largest installed English spaCy model, or a blank pipeline: then no names and places."""

    def __init__(self) -> None:
        self._analyzer = _analyzer()

    def find(self, value: str) -> tuple[Span, ...]:
        """Identifiers in one text, in order, without overlaps; the surest finding wins, then the longest."""
        found = self._analyzer.analyze(value, language="en", score_threshold=LEAST_SCORE)
        kept: list[Span] = []
        for one in sorted(found, key=lambda r: (-r.score, r.start - r.end, r.start)):
            if all(one.end <= other.start or one.start >= other.end for other in kept):
                kind = ENTITY_TYPES.get(one.entity_type, "national_id")
                kept.append(Span(kind, one.start, one.end, min(1.0, one.score)))
        return tuple(sorted(kept, key=lambda s: s.start))

    def shares(self, cells: pa.Array) -> dict[str, float]:
        """Entity type -> share of the first filled cells that hold one, in (0, 1]."""
        values: Sequence[str] = cells.drop_null().slice(0, PRESIDIO_CELLS).to_pylist()
        counts = Counter(kind for value in values for kind in {s.entity_type for s in self.find(value)})
        return {kind: n / len(values) for kind, n in counts.items()}


@cache
def text_detector(name: TextDetectorName = "builtin") -> TextDetector:
    """The detector of a name; each is made once per process.

    Args:
        name: "builtin" or "presidio".

    Raises:
        ConfigError: there is no such detector.
        ServiceUnavailableError: its extra is not installed.
    """
    if name == "builtin":
        return BuiltinDetector()
    if name != "presidio":
        raise ConfigError(f"{name!r} is no text detector.", key="text_detector", remedy="Use builtin or presidio.")
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise ServiceUnavailableError(
            "the text detector presidio needs the package presidio-analyzer, which is not installed.",
            remedy="Install the extra: pip install 'synth-assets[presidio]', or use the built-in detector.",
        )
    return PresidioDetector()


def _analyzer() -> AnalyzerEngine:
    """Presidio's engine, which never reaches out to the network: no model is downloaded and no list of suffixes is fetched."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Installed(SpacyNlpEngine):  # type: ignore[misc]  # the package has no complete types
        """A pipeline that is there already, in place of one to download."""

        def load(self) -> None:
            model = next((m for m in MODELS if spacy.util.is_package(m)), None)
            self.nlp = {"en": spacy.load(model) if model else spacy.blank("en")}

    class OfflineEmail(EmailRecognizer):  # type: ignore[misc]
        """The recogniser of e-mail addresses with the list of suffixes that is shipped."""

        def validate_result(self, pattern_text: str) -> Any:
            return bool(domains(pattern_text).fqdn)

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)  # it warns of each recogniser of another language
    engine = Installed()
    engine.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    registry.remove_recognizer("EmailRecognizer")
    registry.add_recognizer(OfflineEmail(supported_language="en"))
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
