"""Values of the unseen tables, by entity type and language, from one generator: see unseen_tables.py. Nothing here is a person."""

from __future__ import annotations

import base64
import csv
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from stdnum import iban as iban_module
from stdnum import luhn, verhoeff
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.iso7064 import mod_11_10, mod_97_10
from stdnum.it import codicefiscale
from stdnum.nl import bsn

DATA = Path(__file__).resolve().parent / "data"
PLAIN = json.loads((DATA / "unseen_plans.json").read_text(encoding="utf-8"))
DIAGNOSES, CATEGORIES, NOTES = PLAIN["diagnoses"], PLAIN["categories"], PLAIN["notes"]


@cache
def values() -> dict[tuple[str, str], list[str]]:
    """(locale, list) -> values."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    with (DATA / "unseen_values.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            found[row["locale"], row["list"]].append(row["value"])
    return dict(found)


_SHAPELESS = frozenset(["account_number", "driver_license", "health_plan_id", "mrn", "device_id", "passport", "ssn"])


class Maker:
    """Values of one table: one language, one set of people."""

    def __init__(self, rng: np.random.Generator, locale: str, rows: int, subject: str) -> None:
        self.rng, self.locale, self.rows, self.subject = rng, locale, rows, subject
        female = rng.random(rows) < 0.5
        self.sex = ["F" if f else "M" for f in female]
        self.first = [self.one("female" if f else "male") for f in female]
        self.last = [self.one("last") for _ in range(rows)]
        self.phone_form = str(self.choice("{a}-{b}-{c}", "({a}) {b}-{c}", "+1 {a} {b} {c}", "{a}.{b}.{c}", "{a}{b}{c}"))
        self.birth = [np.datetime64("1935-01-01") + int(d) for d in rng.integers(0, 25_000, rows)]

    def one(self, name: str) -> str:
        """A value of a list in the language of the table, else in English."""
        pool = values().get((self.locale, name)) or values()["en", name]
        return pool[int(self.rng.integers(len(pool)))]

    def digits(self, n: int, first: str = "") -> str:
        """A run of digits that does not begin with 0."""
        made = first or str(self.rng.integers(1, 10))
        return made + "".join(str(d) for d in self.rng.integers(0, 10, n - len(made)))

    def letters(self, n: int, pool: str = "ABCDEFGHJKLMNPRSTUVWXYZ") -> str:
        return "".join(pool[int(i)] for i in self.rng.integers(0, len(pool), n))

    def choice(self, *pool: Any) -> Any:
        return pool[int(self.rng.integers(len(pool)))]

    def column(self, make: Callable[[int], str]) -> list[str]:
        return [make(i) for i in range(self.rows)]


def plain(text: str) -> str:
    """ASCII letters only."""
    folded = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return re.sub(r"[^a-z]", "", folded.lower())


def _day(m: Maker, low: str, high: str) -> np.datetime64:
    a, b = np.datetime64(low), np.datetime64(high)
    return a + int(m.rng.integers(0, int((b - a).astype(int))))


def _dates(m: Maker, days: list[np.datetime64]) -> list[str]:
    form = m.choice("iso", "iso", "local", "compact" if m.subject == "patient" else "iso", "long")
    out = []
    for day in days:
        y, mo, d = str(day).split("-")
        european = m.locale != "en"
        local = (
            f"{d}{'.' if m.locale == 'de' else '/'}{mo}{'.' if m.locale == 'de' else '/'}{y}"
            if european
            else f"{mo}/{d}/{y}"
        )
        out.append(
            {"iso": f"{y}-{mo}-{d}", "local": local, "compact": f"{y}{mo}{d}", "long": f"{y}-{mo}-{d}T00:00:00"}[form]
        )
    return out


def _times(m: Maker) -> list[str]:
    form = m.choice(
        "{}T{:02d}:{:02d}:{:02d}Z", "{} {:02d}:{:02d}:{:02d}", "{} {:02d}:{:02d}:{:02d}.123", "{} {:02d}:{:02d}"
    )
    return m.column(
        lambda _: form.format(
            _day(m, "2019-01-01", "2025-06-01"), *(int(x) for x in m.rng.integers([0, 0, 0], [24, 60, 60]))
        )
    )


def _phone(m: Maker) -> str:
    d = m.digits
    return {
        "en": lambda: m.phone_form.format(
            a=d(3, str(m.choice(2, 3, 4, 5, 6, 7, 8, 9))), b=d(3, str(m.choice(2, 3, 4, 5, 6, 7, 8, 9))), c=d(4)
        ),
        "gb": lambda: m.choice("0{} {}", "+44 {} {}").format(d(4, "7"), d(6)),
        "de": lambda: m.choice("+49 {} {}", "0{}/{}", "0{} {}").format(d(3), d(7)),
        "fr": lambda: "0" + d(1, str(m.choice(1, 2, 4, 6, 7))) + "".join(f" {d(2)}" for _ in range(4)),
        "es": lambda: m.choice("+34 {} {} {}", "{} {} {}").format(d(3, str(m.choice(6, 7, 9))), d(3), d(3)),
        "it": lambda: m.choice("+39 {} {}", "{} {}").format(d(3, "3"), d(7)),
        "nl": lambda: m.choice("06-{}", "+31 6 {}").format(d(8)),
        "pt": lambda: f"({d(2)}) 9{d(4)}-{d(4)}",
    }[m.locale]()


def _zip(m: Maker) -> str:
    return {
        "gb": f"{m.letters(2, 'BCDELMNS')}{m.digits(1)} {m.digits(1)}{m.letters(2, 'ABDEFGHJLN')}",
        "nl": f"{m.digits(4)} {m.letters(2)}",
        "pt": f"{m.digits(5)}-{m.digits(3)}",
        "en": str(m.rng.integers(501, 99951)).zfill(5),
        "de": str(m.rng.integers(1067, 99999)).zfill(5),
        "fr": str(m.rng.integers(1000, 95999)).zfill(5),
        "es": str(m.rng.integers(1001, 52999)).zfill(5),
        "it": str(m.rng.integers(10, 98168)).zfill(5),
    }[m.locale]


def _street(m: Maker) -> str:
    name, number = m.one("street"), m.digits(int(m.rng.integers(1, 4)))
    forms = {
        "en": "{1} {0}",
        "gb": "{1} {0}",
        "fr": "{1} rue {0}",
        "it": "Via {0} {1}",
        "pt": "{0}, {1}",
        "es": "{0}, {1}",
    }
    return forms.get(m.locale, "{0} {1}").format(name, number)


def _national(m: Maker) -> str:
    def gb() -> str:
        while True:
            number = m.digits(10)
            if nhs.is_valid(number):
                return f"{number[:3]} {number[3:6]} {number[6:]}"

    def nl() -> str:
        while True:
            number = m.digits(9)
            if bsn.is_valid(number):
                return number

    def de() -> str:
        while True:
            base = m.digits(10)
            number = base + mod_11_10.calc_check_digit(base)
            if idnr.is_valid(number):
                return number

    def it() -> str:
        day, month = f"{int(m.rng.integers(1, 29)):02d}", m.letters(1, "ABCDEHLMPRST")
        base = f"{m.letters(6)}{m.digits(2)}{month}{day}{m.letters(1, 'ABCDEFGHL')}{m.digits(3)}"
        return base + codicefiscale.calc_check_digit(base)

    def fr() -> str:
        year, month, place = (int(m.rng.integers(a, b)) for a, b in ((40, 99), (1, 13), (1, 95)))
        base = f"{m.choice(1, 2)}{year}{month:02d}{place:02d}{m.digits(6)}"
        return base + nir.calc_check_digits(base)

    def es() -> str:
        base = m.digits(8)
        return base + dni.calc_check_digit(base)

    def pt() -> str:
        from stdnum.br import cpf

        base = m.digits(9)
        full = base + cpf._calc_check_digits(base)  # noqa: SLF001  the library has no public one
        return f"{full[:3]}.{full[3:6]}.{full[6:9]}-{full[9:]}"

    def en() -> str:
        base = m.digits(11, str(m.choice(2, 3, 4, 5, 6, 7, 8, 9)))
        return base + verhoeff.calc_check_digit(base)

    return {"gb": gb, "nl": nl, "de": de, "it": it, "fr": fr, "es": es, "pt": pt, "en": en}[m.locale]()


def _iban(m: Maker) -> str:
    country, length = {
        "de": ("DE", 18),
        "fr": ("FR", 23),
        "es": ("ES", 20),
        "nl": ("NL", 0),
        "gb": ("GB", 0),
        "pt": ("PT", 21),
    }.get(m.locale, ("DE", 18))
    bban = {
        "NL": f"{m.choice('INGB', 'RABO', 'ABNA')}{m.digits(10)}",
        "GB": f"{m.choice('BARC', 'HBUK', 'LOYD')}{m.digits(14)}",
    }.get(country, m.digits(length or 18))
    return country + mod_97_10.calc_check_digits(bban + country) + bban


def _vin(m: Maker) -> str:
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    letters = dict(
        zip(
            "ABCDEFGHJKLMNPRSTUVWXYZ",
            (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
            strict=True,
        )
    )
    base = list(m.choice("1HG", "WVW", "5YJ", "JTD") + m.letters(5) + "0" + m.letters(2) + m.digits(6))
    base[8] = "0123456789X"[
        sum((int(c) if c.isdigit() else letters[c]) * w for c, w in zip(base, weights, strict=True)) % 11
    ]
    return "".join(base)


def _npi(m: Maker) -> str:
    base = m.digits(9, "1")
    return base + luhn.calc_check_digit("80840" + base)


def _dea(m: Maker) -> str:
    d = m.digits(6)
    return (
        m.letters(1, "ABFM")
        + m.letters(1)
        + d
        + str((int(d[0]) + int(d[2]) + int(d[4]) + 2 * (int(d[1]) + int(d[3]) + int(d[5]))) % 10)
    )


def _card(m: Maker) -> str:
    base = m.choice("4", "51", "53", "37", "6011")
    body = base + m.digits(14 - len(base) if base == "37" else 15 - len(base))
    return body + luhn.calc_check_digit(body)


def _routing(m: Maker) -> str:
    base = m.choice("0110", "0260", "1210", "3220", "0710") + m.digits(4)
    return base + str(-sum(int(c) * w for c, w in zip(base, (3, 7, 1, 3, 7, 1, 3, 7), strict=True)) % 10)


def _language(m: Maker) -> str:
    return "en" if m.locale == "gb" else m.locale


def _category(name: str) -> Callable[[Maker], list[str]]:
    def make(m: Maker) -> list[str]:
        sets = (CATEGORIES[name].get(_language(m)) or CATEGORIES[name]["en"]).split("|")
        pool = sets[int(m.rng.integers(len(sets)))].split(";")
        return m.column(lambda i: pool[0 if m.sex[i] == "M" else 1] if name == "sex" else str(m.choice(*pool)))

    return make


def _pool(text: str) -> Callable[[Maker], list[str]]:
    return lambda m: m.column(lambda _: str(m.choice(*text.split(";"))))


def _note(m: Maker, i: int) -> str:
    text = str(m.choice(*NOTES[_language(m)].split(";")))
    return text.format(n=m.last[i], x=str(m.choice(*DIAGNOSES[_language(m)].split(";"))).lower()) + f" ({m.digits(2)})."


def _running(m: Maker, prefix: str = "") -> list[str]:
    start = int(m.rng.integers(1, 9)) * 10 ** int(m.rng.integers(0, 6))
    return [f"{prefix}{start + i}" for i in range(m.rows)]


def _keys(m: Maker, letters: str) -> list[str]:
    form = m.choice("running", "prefixed", "random", "uuid")
    if form == "uuid":
        return m.column(lambda _: re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", m.rng.bytes(16).hex()))
    if form == "random":
        return m.column(lambda _: m.digits(8))
    return _running(m, "" if form == "running" else letters)


def _person_names(m: Maker) -> list[str]:
    form = m.choice("{0} {1}", "{0} {1}", "{1}, {0}")
    return m.column(lambda i: form.format(m.first[i], m.last[i]))


def _email(m: Maker, i: int) -> str:
    sign, host = m.choice(".", "_", ""), m.choice("example.com", "example.org", "mail.example.net")
    return f"{plain(m.first[i])}{sign}{plain(m.last[i])}{m.digits(2)}@{host}"


def _ssns(m: Maker) -> list[str]:
    form = m.choice("{:03d}-{:02d}-{:04d}", "{:03d}{:02d}{:04d}")
    return m.column(lambda _: form.format(*(int(m.rng.integers(1, top)) for top in (666, 99, 9999))))


def _coded(m: Maker, digits: int, *prefixes: str) -> list[str]:
    prefix = m.choice(*prefixes)
    return m.column(lambda _: prefix + m.digits(digits))


def _loinc(body: str) -> str:
    return f"{body}-{luhn.calc_check_digit(body)}"


def _checked(body: str) -> str:
    return body + luhn.calc_check_digit(body)


MAKERS: dict[str, Callable[[Maker], list[str]]] = {
    "first_name": lambda m: list(m.first),
    "last_name": lambda m: list(m.last),
    "person_name": _person_names,
    "email": lambda m: m.column(lambda i: _email(m, i)),
    "phone": lambda m: m.column(lambda _: _phone(m)),
    "fax": lambda m: m.column(lambda _: _phone(m)),
    "street_address": lambda m: m.column(lambda _: _street(m)),
    "city": lambda m: m.column(lambda _: m.one("city")),
    "state": lambda m: (
        m.column(lambda _: m.choice(*["CA", "TX", "NY", "FL", "OH", "PA", "IL", "MA", "WA", "GA", "NC", "MI"]))
        if m.locale == "en" and m.rng.random() < 0.6
        else m.column(lambda _: m.one("state"))
    ),
    "zip": lambda m: m.column(lambda _: _zip(m)),
    "county": lambda m: m.column(
        lambda _: (
            m.choice("Kent County", "Orange", "Cook", "Harris", "Maricopa", "King", "Wayne", "Suffolk")
            if m.locale == "en"
            else m.choice("Rhein-Neckar-Kreis", "Landkreis Gießen", "Kreis Unna", "Landkreis Harz")
        )
    ),
    "country": lambda m: (
        m.column(lambda _: m.choice("US", "DE", "FR", "GB", "ES", "NL", "IT"))
        if m.rng.random() < 0.4
        else m.column(lambda _: m.one("country"))
    ),
    "coordinates": lambda m: m.column(lambda _: f"{m.rng.uniform(30, 55):.6f}"),
    "ssn": _ssns,
    "itin": lambda m: m.column(lambda _: f"9{m.digits(2)}-{m.rng.integers(70, 88)}-{m.digits(4)}"),
    "passport": lambda m: m.column(
        lambda _: m.digits(9) if m.locale in ("en", "gb") else f"{m.letters(2)}{m.digits(7)}"
    ),
    "driver_license": lambda m: m.column(lambda _: f"{m.letters(1)}{m.digits(7)}"),
    "national_id": lambda m: m.column(lambda _: _national(m)),
    "tax_id": lambda m: m.column(lambda _: f"{m.choice(10, 20, 45, 84)}-{m.digits(7)}"),
    "card_number": lambda m: m.column(lambda _: _card(m)),
    "iban": lambda m: m.column(lambda _: iban_module.format(_iban(m)) if m.rows % 2 else _iban(m)),
    "swift": lambda m: m.column(
        lambda _: (
            f"{m.letters(4)}{m.choice('DE', 'FR', 'GB', 'NL', 'US')}{m.letters(1)}{m.digits(1)}{m.choice('', 'XXX')}"
        )
    ),
    "routing_number": lambda m: m.column(lambda _: _routing(m)),
    "account_number": lambda m: m.column(lambda _: m.digits(10)),
    "npi": lambda m: m.column(lambda _: _npi(m)),
    "dea": lambda m: m.column(lambda _: _dea(m)),
    "mrn": lambda m: _coded(m, 8, "MRN", "", "H-"),
    "health_plan_id": lambda m: _coded(m, 9, "XEA", "W", ""),
    "icd10": lambda m: m.column(lambda _: str(m.choice(*PLAIN["icd"].split()))),
    "loinc": lambda m: m.column(lambda _: _loinc(m.digits(4))),
    "ndc": lambda m: m.column(lambda _: f"{m.digits(5)}-{m.digits(4)}-{m.digits(2)}"),
    "procedure_code": lambda m: m.column(
        lambda _: m.choice("99213", "99214", "36415", "80053", "G0439", "J1885", "71046", "93000", "A4253")
    ),
    "vin": lambda m: m.column(lambda _: _vin(m)),
    "license_plate": lambda m: m.column(
        lambda _: (
            f"{m.letters(1)}-{m.letters(2)} {m.digits(4)}"
            if m.locale == "de"
            else f"{m.letters(3)} {m.digits(4)}"
            if m.locale == "en"
            else f"{m.letters(2)}-{m.digits(3)}-{m.letters(2)}"
        )
    ),
    "device_id": lambda m: (
        m.column(lambda _: _checked(m.digits(14, "35")))
        if m.rng.random() < 0.4
        else m.column(lambda _: f"SN{m.letters(2)}{m.digits(8)}")
    ),
    "url": lambda m: m.column(
        lambda i: f"https://{m.choice('www.', '')}example.org/{plain(m.last[i])}/{plain(m.first[i])}"
    ),
    "ip_address": lambda m: m.column(lambda _: ".".join(str(x) for x in m.rng.integers(1, 255, 4))),
    "mac_address": lambda m: m.column(lambda _: ":".join(f"{x:02x}" for x in m.rng.integers(0, 256, 6))),
    "username": lambda m: m.column(lambda i: f"{plain(m.first[i])[:1]}{plain(m.last[i])}{m.digits(2)}"),
    "password_or_secret": lambda m: (
        m.column(lambda _: "$2b$12$" + base64.b64encode(m.rng.bytes(39)).decode().replace("+", ".").rstrip("="))
        if m.rng.random() < 0.5
        else m.column(lambda _: base64.b64encode(m.rng.bytes(12)).decode())
    ),
    "birth_date": lambda m: _dates(m, m.birth),
    "death_date": lambda m: [
        d if m.rng.random() < 0.3 else ""
        for d in _dates(m, [_day(m, "2010-01-01", "2025-01-01") for _ in range(m.rows)])
    ],
    "event_date": lambda m: _dates(m, [_day(m, "2018-01-01", "2025-06-01") for _ in range(m.rows)]),
    "timestamp": _times,
    "age": lambda m: m.column(lambda _: str(m.rng.integers(18, 95))),
    "sex": _category("sex"),
    "race_ethnicity": _category("race_ethnicity"),
    "religion": _category("religion"),
    "marital_status": _category("marital_status"),
    "education": _category("education"),
    "nationality": lambda m: m.column(lambda _: m.one("nationality")),
    "language": lambda m: m.column(lambda _: m.one("language")),
    "occupation": lambda m: m.column(lambda _: m.one("job")),
    "employer": lambda m: m.column(lambda _: m.one("company")),
    "organization": lambda m: m.column(lambda _: m.one("company")),
    "salary_or_income": lambda m: m.column(lambda _: str(int(m.rng.lognormal(10.7, 0.4)))),
    "diagnosis_text": lambda m: m.column(lambda _: str(m.choice(*DIAGNOSES[_language(m)].split(";")))),
    "free_text": lambda m: m.column(lambda i: _note(m, i)),
    "photo_or_biometric": lambda m: (
        m.column(lambda _: "data:image/png;base64," + base64.b64encode(m.rng.bytes(60)).decode())
        if m.rng.random() < 0.6
        else m.column(lambda _: base64.b64encode(m.rng.bytes(90)).decode())
    ),
    "customer_id": lambda m: _keys(m, {"patient": "P", "customer": "C", "employee": "E"}.get(m.subject, "U")),
    "other_id": lambda m: _keys(m, "ORD-"),
}
_FLAG = r"active|consent|opt in|smoker|aktiv|actif|activ|attivo|actief|ativo|diabetes"


def none_values(m: Maker, header: str) -> list[str]:
    """Values of a column that tells of nobody, by what its name says."""
    name = header.lower().replace("_", " ")
    if re.search(_FLAG, name):
        return _pool(str(m.choice("Y;N", "true;false", "0;1")))(m)
    for pattern, pool in PLAIN["words"].items():
        if re.search(pattern, name):
            return _pool(pool)(m)
    if re.search(
        r"quant|number|num |anzahl|nombre|numero|rating|bewertung|stay|duration|rate|menge|aantal|systolic|score", name
    ):
        return m.column(lambda _: str(m.rng.integers(0, 40)))
    return m.column(lambda _: f"{m.rng.lognormal(4, 0.8):.2f}")
