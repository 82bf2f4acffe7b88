"""Labelled tables that no rule was made from: header styles, languages and values of their own, from one seed.

Column names come from data/unseen_headers.txt (public standards and habits of seven languages), names and places from
data/unseen_values.csv (a sample of the MIT-licensed lists of Mimesis 22.2, none of which the classifier ships), numbers from
the check-digit functions of python-stdnum. Half of the names, chosen by hash, are "held out": errors were looked at in the other
half only. No row belongs to a person.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from unseen_values import DATA, MAKERS, PLAIN, Maker, none_values

_SHAPELESS = frozenset({"account_number", "driver_license", "health_plan_id", "mrn", "device_id", "passport", "ssn"})
LOCALES = ("en", "en", "en", "gb", "de", "de", "fr", "es", "it", "nl", "pt")
STYLES = ("snake", "camel", "pascal", "upper", "blank", "glued", "as_is")
PLANS: dict[str, list[str]] = {subject: types.split() for subject, types in PLAIN["plans"].items()}
DIRECT, SENSITIVE, OF_FIRMS = (frozenset(PLAIN[key].split()) for key in ("direct", "sensitive", "business"))
NONE = frozenset({"timestamp", "other_id", "organization", "none"})


@dataclass(frozen=True)
class Table:
    """One made table: cells as texts (empty is missing), and a label per column."""

    name: str
    columns: dict[str, list[str]]
    labels: tuple[dict[str, str], ...]


@cache
def headers() -> dict[tuple[str, str, str], list[str]]:
    """(type, language, subject) -> names."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in (DATA / "unseen_headers.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            head, _, names = line.partition(": ")
            parts = head.split()
            subject = next((p[1:] for p in parts if p.startswith("@")), "any")
            found[parts[0], parts[1], subject] += [n.strip() for n in names.split(" ; ")]
    return dict(found)


def held_out(header: str) -> bool:
    """Whether a name is in the half whose errors nobody looked at."""
    return int(hashlib.md5(header.strip('"').lower().encode()).hexdigest(), 16) % 2 == 1


def styled(name: str, style: str, prefix: str) -> str:
    """A column name in one style; names in quotes stay."""
    if name.startswith('"'):
        return name.strip('"')
    words = re.sub(r"[^\w]+", " ", name).split()
    if prefix and words[0] not in prefix:
        words = [prefix.rstrip("_"), *words]
    folded = [unicodedata.normalize("NFKD", w.replace("ß", "ss")).encode("ascii", "ignore").decode() for w in words]
    return {
        "snake": "_".join(folded),
        "upper": "_".join(folded).upper(),
        "camel": folded[0] + "".join(w.capitalize() for w in folded[1:]),
        "pascal": "".join(w.capitalize() for w in folded),
        "blank": " ".join(w.capitalize() for w in words),
        "glued": "".join(folded),
        "as_is": "_".join(words),
    }[style]


def _names_of(entity_type: str, language: str, subject: str) -> list[str]:
    found = headers()
    for lang in (language, "en"):
        names = found.get((entity_type, lang, subject), []) + found.get((entity_type, lang, "any"), [])
        if names:
            return names
    return []


def make_table(seed: int, number: int) -> Table:
    """One table of 8 to 18 columns and 30 to 400 rows."""
    rng = np.random.default_rng([seed, number])
    subject = list(PLANS)[number % len(PLANS)] if number % 5 else "customer"
    locale, style = LOCALES[int(rng.integers(len(LOCALES)))], STYLES[int(rng.integers(len(STYLES)))]
    language = "en" if locale == "gb" or rng.random() < 0.15 else locale
    m = Maker(rng, locale, int(rng.integers(30, 400)), subject)
    prefix = str(m.choice(*PLAIN["prefixes"][subject])) if rng.random() < 0.3 and style != "glued" else ""
    plan = [*PLANS[subject][:1], *rng.permutation(PLANS[subject][1:])[: int(rng.integers(8, 18))]]
    name = f"unseen_{number:03d}_{subject}s"
    columns: dict[str, list[str]] = {}
    labels = []
    for entity_type in (str(t) for t in plan):
        if (entity_type in ("state", "ssn", "itin", "tax_id", "routing_number", "npi", "dea") and locale == "gb") or (
            entity_type == "county" and locale not in ("en", "de")
        ):
            continue
        raw = str(m.choice(*_names_of(entity_type, language, subject)))
        header = styled(
            raw, style, prefix if entity_type not in ("none", "other_id", "customer_id", "timestamp") else ""
        )
        if header in columns:
            continue
        cells = none_values(m, raw) if entity_type == "none" else MAKERS[entity_type](m)
        gaps = rng.random(m.rows) < float(rng.choice([0, 0, 0.02, 0.2]))
        columns[header] = ["" if gap else cell for gap, cell in zip(gaps, cells, strict=True)]
        labels.append(_label(name, header, entity_type, subject, held_out(raw)))
    return Table(name, columns, tuple(labels))


def _label(table: str, column: str, entity_type: str, subject: str, held: bool) -> dict[str, str]:
    if entity_type in NONE or (subject == "firm" and entity_type in OF_FIRMS):
        cls = "none"
    else:
        cls = "direct" if entity_type in DIRECT else "sensitive" if entity_type in SENSITIVE else "quasi"
    note = []
    if entity_type == "customer_id":
        note.append("altclass=direct")
    if entity_type == "employer":
        note.append("alt=organization")
    if entity_type == "national_id":
        note.append("alt=tax_id")  # a personal tax number is both
    if entity_type == "none":
        note.append("altclass=sensitive")  # measurements and drugs of persons
    if entity_type == "event_date":
        note.append("altclass=none")
    bare = without_header(entity_type)
    if subject == "firm":  # nothing says that they are firms
        bare = "; ".join(filter(None, (bare, "altclass=direct; altclass=quasi")))
    return {
        "table": f"{table}.csv",
        "column": column,
        "entity_type": entity_type,
        "identifier_class": cls,
        "note": "; ".join(note),
        "made": "yes",
        "held_out": "yes" if held else "no",
        "bare": bare,
    }


def without_header(entity_type: str) -> str:
    """What else a column without a name may be called: its type cannot be told from values alone, as in the labelled tables."""
    if entity_type in _SHAPELESS:
        return "alt=other_id; alt=customer_id; altclass=none; altclass=quasi"
    return {
        "fax": "alt=phone",
        "coordinates": "alt=none; altclass=none",
        "customer_id": "alt=other_id; altclass=none",
        "other_id": "alt=customer_id; altclass=quasi",
        "timestamp": "altclass=quasi",
        "employer": "altclass=none",
        "salary_or_income": "alt=none; altclass=none",
        "organization": "alt=employer; altclass=quasi",
    }.get(entity_type, "")


def make_tables(seed: int, tables: int = 100) -> list[Table]:
    """As many tables; the same seed gives the same cells."""
    return [make_table(seed, number) for number in range(tables)]


def write_tables(folder: Path, tables: Sequence[Table], *, opaque: bool = False) -> list[dict[str, str]]:
    """Write the tables as CSV files; returns the labels.

    Args:
        folder: Where the files go.
        tables: What is written.
        opaque: Replace every header by col1, col2, ... and the table's name by a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = []
    for number, table in enumerate(tables):
        names = [f"col{i}" for i in range(1, len(table.columns) + 1)] if opaque else list(table.columns)
        file = f"table_{number:03d}.csv" if opaque else f"{table.name}.csv"
        for name, label in zip(names, table.labels, strict=True):
            note = "; ".join(filter(None, (label["note"], label["bare"] if opaque else "")))
            named = {"table": file, "column": name, "header_obfuscated": "yes" if opaque else "no", "note": note}
            labels.append({**label, **named})
        with (folder / file).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(zip(*table.columns.values(), strict=True))
    return labels
