"""Detectors of identifiers in running text, on made notes with planted identifiers: recall, precision, identifiers per CPU second.

Notes are made from templates in five languages with values of unseen_values.py; a planted identifier counts as found when spans of
the detector cover at least 80 % of its characters, a span is right when it holds a planted one or is at least half planted.
Run: python benchmarks/text_detection.py
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from unseen_values import MAKERS, Maker

from synth_assets.pii import detection
from synth_assets.pii.detection import text_detector
from synth_assets.pii.text import Span

ROWS = 100
FORMS = 8  # each draws its own form of dates, phones and numbers
# {type} is planted; {x} is a word of an illness, which identifies nobody.
TEMPLATES = {
    "en": (
        "Patient {person_name} was seen on {event_date} for {x}. Call back at {phone}.",
        "Spoke with {person_name}, new address is {street_address}, {city}. E-mail {email}.",
        "Identity checked: SSN {ssn}, date of birth {birth_date}. BP 120/80, pulse 64, room 12.",
        "Refund to card {card_number}, order 4711-22, total 129.50 EUR for {person_name}.",
        "Login from {ip_address} ({mac_address}), see {url}; user reset the password 3 times.",
        "MRN: {mrn}. {x} since two weeks, ibuprofen 400 mg twice a day. Dr. {last_name} informed.",
        "Referred by {person_name} (NPI {npi}). Follow up in 6 weeks, labs 7.4 / 12.1 normal.",
        "Transfer of 1,250.00 from {iban} confirmed by {person_name} on {event_date}.",
    ),
    "de": (
        "Frau {last_name} rief am {event_date} wegen {x} an, Rückruf unter {phone}.",
        "Neue Anschrift: {street_address}, {city}. E-Mail {email}. Blutdruck 130/85.",
        "Überweisung von {iban}, Kontoinhaber {person_name}, Betrag 75,20 Euro.",
    ),
    "fr": (
        "Mme {last_name} a appelé le {event_date} pour {x}, rappeler au {phone}.",
        "Nouveau courriel : {email}. Virement depuis {iban}, montant 75,20 euros.",
    ),
    "es": ("Llamó {person_name} el {event_date} por {x}, teléfono {phone}, correo {email}.",),
    "nl": ("Gebeld met mevrouw {last_name} op {event_date} over {x}, tel. {phone}, {email}.",),
}
# Other phrases about homes and addresses, and words that are also places: held out once, then read for rules.
SECOND = {
    "en": (
        "Family reports he drove back from {city} the same evening; next of kin at {street_address}.",
        "Please send the discharge letter to {street_address}, {city}, not to the old flat.",
        "Social history: grew up in {city}, retired teacher, two cats. Smokes 10 a day.",
        "Caller from {city} asks about invoice 4471; invoices go to {street_address}.",
        "Warren catheter placed by Dr. {last_name}. Jackson drain out, Lincoln Log sign, Madison protocol, Orlando Health informed.",
        "In Recovery since noon. From Monday on Jackson-Pratt output, Troy weight, in Bend position, near Normal values.",
        "{person_name} visited relatives in {city} and came back with {x}.",
        "Insured moved house: was {street_address}, now {street_address}.",
    ),
    "de": (
        "Pat. kommt mit dem Zug aus {city}, Ehefrau wohnt noch {street_address}.",
        "Rechnung bitte an {person_name}, {street_address}, {city}.",
        "Im Bad gestürzt, nach Essen und Trinken Übelkeit, in Narkose, aus Sorge um Herne-Wunde, Kontrolle in Wochen.",
        "Früher in {city} operiert wegen {x}; Nachsorge in Absprache.",
    ),
    "fr": (
        "M. {last_name} vit à {city} depuis 2010, courrier au {street_address}.",
        "Transfert de la clinique de {city}. Nice évolution, bonne Tenue, Angers non contacté.",
    ),
    "es": (
        "Trasladado desde {city}; la familia vive en {street_address}.",
        "Doña {last_name}, natural de {city}, consulta por {x}. En Planta, en Ayunas desde León.",
    ),
    "nl": (
        "Patiënt komt uit {city} en verblijft bij dochter, {street_address}, {city}.",
        "In Afwachting van Best beleid, naar Huis met Rust; controle in Week 6. Werkt in {city}.",
    ),
}
# Written after all rules, which were not changed for them.
HELD_OUT = {
    "en": (
        "Pt lives with spouse {person_name}, {street_address}, {city}. Ambulates with cane, afebrile.",
        "Transfer accepted from outside facility, {city}; records requested by fax.",
        "Daughter flies in from {city} tomorrow; will stay at {street_address} until discharge.",
        "Card was stolen while shopping in {city}, police report filed, new card mailed to {street_address}.",
        "Claimant states the collision happened close to {street_address} on {event_date}.",
        "Retired from the mill in {city}. Worked with asbestos. Denies alcohol.",
        "Mail came back undeliverable: {street_address}, {city}. Please update.",
        "Foley in place, Denver shunt checked, Boston brace fitted, Cleveland score 4. Return in March to Cardiology.",
        "Mr {last_name} was seen in Clinic B, moved from Room 12 to Bay 4 at 14 Hours, given 20 Units Lantus, 2 Tabs Norco.",
    ),
    "de": (
        "Herr {last_name} ist Rentner, verheiratet, zwei Kinder, wohnhaft {street_address} in {city}.",
        "Verlegung in die Geriatrie {city} geplant; Ehefrau erreichbar unter {phone}.",
        "Unfallort: {street_address}, {city}. Geschädigter {person_name}.",
        "Zuweisung durch die Hausarztpraxis aus {city}, Rehaantrag gestellt.",
        "Am Montag in Hannover-Klasse 3 eingestuft, in Ruhe und unter Belastung stabil, Fahrt mit Liegetaxi, Kölner Modell besprochen.",
    ),
    "fr": (
        "Patient adressé par le Dr {last_name} ({city}) pour {x}.",
        "Sinistre survenu au {street_address} à {city}, expert mandaté.",
        "Retour à domicile, {street_address}, avec passage infirmier. Bonne évolution, Orange si fièvre.",
        "Mme {last_name} part en vacances à {city} en juillet.",
    ),
    "es": (
        "Paciente procedente de {city}, jubilado, vive solo en {street_address}.",
        "El siniestro ocurrió en {street_address}, término municipal de {city}.",
        "Sra. {last_name} viaja a {city} la próxima semana. En Reposo, sin Fiebre, Victoria pendiente de Control.",
    ),
    "nl": (
        "Mevrouw {last_name} verhuist binnenkort naar {city}, nieuw adres {street_address}.",
        "Doorverwezen door de huisarts uit {city} wegens {x}.",
        "Schade gemeld op het adres {street_address} te {city}. Geen letsel, Best tevreden, in Overleg.",
    ),
}
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Note:
    """A text and where identifiers stand in it."""

    text: str
    planted: tuple[tuple[str, int, int], ...]


def make_notes(count: int, seed: int, templates: dict[str, tuple[str, ...]] = TEMPLATES) -> list[Note]:
    """Notes in five languages, half of them English."""
    rng = np.random.default_rng(seed)
    languages = ["en"] * 4 + ["de", "fr", "es", "nl"]
    makers = {
        (lang, form): Maker(np.random.default_rng([seed, i, form]), lang, ROWS, "patient")
        for i, lang in enumerate(templates)
        for form in range(FORMS)
    }
    types = {t for texts in templates.values() for text in texts for t in _SLOT.findall(text)} - {"x"}
    values = {key: {t: MAKERS[t](maker) for t in sorted(types)} for key, maker in makers.items()}
    for key, maker in makers.items():
        values[key]["x"] = [d.lower() for d in MAKERS["diagnosis_text"](maker)]
    notes = []
    for _ in range(count):
        lang = languages[int(rng.integers(len(languages)))]
        text, planted = "", []
        for piece in re.split(r"(\{\w+\})", templates[lang][int(rng.integers(len(templates[lang])))]):
            slot = _SLOT.fullmatch(piece)
            value = values[lang, int(rng.integers(FORMS))][slot[1]][int(rng.integers(ROWS))] if slot else piece
            if slot and slot[1] != "x":
                planted.append((slot[1], len(text), len(text) + len(value)))
            text += value
        notes.append(Note(text, tuple(planted)))
    return notes


def covered(start: int, end: int, spans: Sequence[tuple[int, int]]) -> float:
    """Share of the characters of [start, end) that the spans cover."""
    inside = sum(max(0, min(end, b) - max(start, a)) for a, b in spans)
    return inside / (end - start)


def judge(notes: Sequence[Note], found: Sequence[tuple[Span, ...]]) -> None:
    """Print recall per planted type, and precision per found type."""
    recall: dict[str, list[bool]] = defaultdict(list)
    precision: dict[str, list[bool]] = defaultdict(list)
    for note, spans in zip(notes, found, strict=True):
        places = [(s.start, s.end) for s in spans]
        for kind, start, end in note.planted:
            recall[kind].append(covered(start, end, places) >= 0.8)
        planted = [(start, end) for _, start, end in note.planted]
        for span in spans:
            holds = any(covered(start, end, [(span.start, span.end)]) >= 0.8 for start, end in planted)
            precision[span.entity_type].append(holds or covered(span.start, span.end, planted) >= 0.5)
    print(f"  {'planted type':20}{'planted':>8}{'recall':>8}     {'found as':20}{'spans':>8}{'precision':>11}")
    left = [f"  {k:20}{len(v):8d}{np.mean(v):8.3f}" for k, v in sorted(recall.items())]
    right = [f"     {k:20}{len(v):8d}{np.mean(v):11.3f}" for k, v in sorted(precision.items())]
    for i in range(max(len(left), len(right))):
        print((left[i] if i < len(left) else " " * 38) + (right[i] if i < len(right) else ""))
    every, all_spans = [x for v in recall.values() for x in v], [x for v in precision.values() for x in v]
    print(f"  all: recall {np.mean(every):.3f} of {len(every)}, precision {np.mean(all_spans):.3f} of {len(all_spans)}")


def main() -> None:
    """Run both detectors over the same notes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=2000)
    parser.add_argument(
        "--presidio-notes", type=int, default=500, help="Presidio reads the first of them; 0 leaves it out"
    )
    parser.add_argument("--held-out", action="store_true", help="the templates that no rule was written for")
    parser.add_argument("--second", action="store_true", help="the templates about homes and addresses that were read")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--model", help="a spaCy model for Presidio, in place of the largest installed one")
    args = parser.parse_args()
    if args.model:
        detection.MODELS = (args.model,)
    notes = make_notes(args.notes, args.seed, HELD_OUT if args.held_out else SECOND if args.second else TEMPLATES)
    for name, count in (("builtin", args.notes), ("presidio", args.presidio_notes)):
        if not count:
            continue
        detector = text_detector(name)  # type: ignore[arg-type]
        detector.find(notes[0].text)
        started = time.process_time()
        found = [detector.find(note.text) for note in notes[:count]]
        spent = time.process_time() - started
        print(f"\n=== {name}: {count} notes, {sum(len(n.text) for n in notes[:count]):,} characters")
        print(
            f"  {sum(map(len, found)) / spent:,.0f} identifiers per CPU second, {1000 * spent / count:.2f} ms per note"
        )
        judge(notes[:count], found)


if __name__ == "__main__":
    main()
