"""Labelled tables as offices of ten countries keep them: short, local, old-fashioned headers, values of the forms that stand there.

The plan is data/unseen_offices.txt, names and places data/unseen_offices.json. The first set was written before the rules were
looked at, the second after what the first run got wrong had been mended by cause. Then a few causes of the second set were mended
too: docs/results.md tells the first run of each. No row belongs to a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
from stdnum import luhn, verhoeff
from stdnum.es import ccc
from stdnum.mx import curp
from unseen_tables import Table, without_header
from unseen_values import DATA, MAKERS, Maker, plain

LOCALES = {
    "us": "en",
    "gb": "gb",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "it": "it",
    "nl": "nl",
    "br": "pt",
    "mx": "es",
    "in": "en",
}


@dataclass(frozen=True)
class Column:
    """One line of the plan."""

    header: str
    entity_type: str
    identifier_class: str
    values: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Plan:
    """One table of the plan."""

    name: str
    locale: str
    rows: int
    columns: tuple[Column, ...]
    second: bool


@cache
def plans() -> tuple[Plan, ...]:
    """The tables of the plan file."""
    found: list[Plan] = []
    for block in re.split(r"\n(?=table )", (DATA / "unseen_offices.txt").read_text(encoding="utf-8"))[1:]:
        head, *lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        _, name, locale, rows, *second = head.split()
        columns = []
        for line in lines:
            header, kind, cls, values, note = (part.strip() for part in line.split("|"))
            columns.append(Column(header, kind, cls, tuple(v.strip() for v in re.split(r" /(?: |$)", values)), note))
        found.append(Plan(name, locale, int(rows), tuple(columns), bool(second)))
    return tuple(found)


@cache
def _lists(locale: str) -> dict[str, tuple[str, ...]]:
    lists = json.loads((DATA / "unseen_offices.json").read_text(encoding="utf-8"))[locale]
    return {name: tuple(text.split(";")) for name, text in lists.items()}


class Office(Maker):
    """Values of one table of the plan: its own people, and the forms of its country."""

    def __init__(self, rng: np.random.Generator, plan: Plan) -> None:
        self.office = plan.locale
        super().__init__(rng, LOCALES[plan.locale], plan.rows, "customer")

    def one(self, name: str) -> str:
        pool = _lists(self.office)[name]
        return pool[int(self.rng.integers(len(pool)))]

    def day(self, low: int, high: int) -> date:
        """A day between two years."""
        return date(low, 1, 1) + timedelta(days=int(self.rng.integers(0, 365 * (high - low))))

    def person(self) -> tuple[str, str]:
        """First and last name of somebody else than the person of the row."""
        return self.one(str(self.choice("female", "male"))), self.one("last")

    def phone(self) -> str:
        return MAKERS["phone"](_one_row(self))[0]


def _one_row(m: Office) -> Office:
    other = object.__new__(Office)
    other.__dict__ = {**m.__dict__, "rows": 1}
    return other


def _pattern(m: Office, text: str) -> str:
    """A text with every # replaced by a digit and every @ by a capital letter."""
    drawn = str(m.choice(*text.split(";"))).removeprefix("~")
    return "".join(str(m.rng.integers(0, 10)) if c == "#" else m.letters(1) if c == "@" else c for c in drawn)


def _note(m: Office) -> str:
    first, last = m.person()
    fills = {"first": first, "last": last, "phone": m.phone(), "street": m.one("street"), "city": m.one("city")}
    return m.one("note").format(**fills, day=m.day(2023, 2025).strftime("%d.%m.%Y"))


def _kvnr(m: Office) -> str:
    letter, digits = m.letters(1), m.digits(8)
    return letter + digits + str(luhn.checksum(f"{ord(letter) - 64:02d}{digits}0"))


def _curp(m: Office) -> str:
    born = m.day(1945, 2000).strftime("%y%m%d")
    body = f"{m.letters(4)}{born}{m.choice('H', 'M')}{m.choice('JC', 'PL', 'NL', 'OC', 'YN')}{m.letters(3)}0"
    return body + curp.calc_check_digit(body)


def _clabe(m: Office) -> str:
    body = "002" + m.digits(14)
    return body + str(-sum(int(d) * w % 10 for d, w in zip(body, (3, 7, 1) * 6, strict=False)) % 10)


def _ccc(m: Office) -> str:
    bank, number = "2100" + m.digits(4), m.digits(10)
    return bank + ccc.calc_check_digits(f"{bank}00{number}") + number


def _ssn(m: Office) -> str:
    form = "{:03d}-{:02d}-{:04d}" if m.rows % 100 else "{:03d}{:02d}{:04d}"
    return form.format(*(int(m.rng.integers(1, top)) for top in (666, 99, 9999)))


def _aadhaar(m: Office) -> str:
    body = m.digits(11, str(m.choice(2, 3, 5, 7, 9)))
    whole = body + verhoeff.calc_check_digit(body)
    return f"{whole[:4]} {whole[4:8]} {whole[8:]}" if m.rows % 2 else whole


def _other(m: Office, form: str) -> str:
    return form.format(*m.person())


def _made(kind: str) -> Callable[[Office], str]:
    return lambda m: MAKERS[kind](_one_row(m))[0]


_OF_ROW: dict[str, Callable[[Office, int], str]] = {
    "first": lambda m, i: m.first[i],
    "last": lambda m, i: m.last[i],
    "full": lambda m, i: f"{m.first[i]} {m.last[i]}",
    "comma": lambda m, i: f"{m.last[i]}, {m.first[i]}",
    "lastfirst": lambda m, i: f"{m.last[i].upper()} {m.first[i]}",
    "mail": lambda m, i: (
        f"{plain(m.first[i])[:1]}{m.choice('.', '')}{plain(m.last[i])}{m.rng.integers(1, 90)}@{m.one('host')}"
    ),
    "login": lambda m, i: f"{plain(m.first[i])[:2]}{plain(m.last[i])[:5]}{m.rng.integers(1, 99)}",
}
_DRAWN: dict[str, Callable[[Office], str]] = {
    "other": lambda m: _other(m, "{} {}"),
    "other_comma": lambda m: _other(m, "{1}, {0}"),
    "other_last": lambda m: m.one("last"),
    "doctor": lambda m: f"{m.choice('Dr. ', 'Dr. med. ', '')}{' '.join(m.person())}",
    "street": lambda m: m.one("street"),
    "road": lambda m: m.one("road"),
    "city": lambda m: m.one("city"),
    "job": lambda m: m.one("job"),
    "firm": lambda m: m.one("firm"),
    "diagnosis": lambda m: m.one("diagnosis"),
    "note": _note,
    "postcode": lambda m: (
        f"{m.choice('OL', 'LA', 'CF', 'TR', 'YO')}{m.rng.integers(1, 20)} {m.rng.integers(1, 10)}{m.letters(2, 'ABDEFGHJLN')}"
    ),
    "clock": lambda m: f"{m.rng.integers(0, 24):02d}:{m.rng.integers(0, 60):02d}",
    "stamp": lambda m: f"{m.day(2023, 2025)} {m.rng.integers(0, 24):02d}:{m.rng.integers(0, 60):02d}:{m.rng.integers(0, 60):02d}",
    "age": lambda m: str(m.rng.integers(0, 97)),
    "amount": lambda m: f"{m.rng.lognormal(4, 1):.2f}",
    "icd": lambda m: str(m.choice("I10", "E11.9", "J44.1", "S72.001A", "N39.0", "I21.4", "K80.2", "F32.1", "J18.9", "M54.5")),
    "cpt": lambda m: str(m.choice("99213", "99284", "36415", "80053", "J1885", "71045", "93000", "G0463", "97110")),
    "ein": lambda m: f"{m.choice(31, 34, 61, 35)}{m.digits(7)}",
    "ssn": _ssn,
    "npi": _made("npi"),
    "dea": _made("dea"),
    "ip": _made("ip_address"),
    "phone": lambda m: m.phone(),
    "card": _made("card_number"),
    "iban": _made("iban"),
    "vin": _made("vin"),
    "routing": _made("routing_number"),
    "nhs": _made("national_id"), "idnr": _made("national_id"), "nir": _made("national_id"), "dni": _made("national_id"),
    "cf": _made("national_id"), "bsn": _made("national_id"), "cpf": _made("national_id"),
    "aadhaar": _aadhaar,
    "kvnr": _kvnr,
    "ccc": _ccc,
    "clabe": _clabe,
    "curp": _curp,
    "rfc": lambda m: f"{m.letters(4)}{m.day(1945, 2005).strftime('%y%m%d')}{m.letters(2)}{m.rng.integers(0, 10)}",
    "imei": lambda m: (body := m.digits(14, "35")) + luhn.calc_check_digit(body),
    "iccid": lambda m: (body := m.digits(18, "8944")) + luhn.calc_check_digit(body),
}  # fmt: skip


def _number(m: Office, span: str) -> str:
    low, high = (int(x) for x in span.split())
    return str(m.rng.integers(low, high + 1))


_TOLD: dict[str, Callable[[Office, str, int], str]] = {
    "birth": lambda m, form, i: (date(1970, 1, 1) + timedelta(days=int(m.birth[i].astype(int)))).strftime(form),
    "day": lambda m, form, _: m.day(2021, 2025).strftime(form),
    "number": lambda m, span, _: _number(m, span),
    "float": lambda m, span, _: f"{m.rng.uniform(*map(float, span.split())):.5f}",
}


def _cell(m: Office, values: str, i: int) -> str:
    """One cell of one alternative of the plan."""
    word, _, rest = values.partition(" ")
    if not values:
        return ""
    if values.startswith("~"):
        return _pattern(m, values)
    if word == "upper":
        return _cell(m, rest, i).upper()
    if word in _TOLD:
        return _TOLD[word](m, rest, i)
    if values in _OF_ROW:
        return _OF_ROW[values](m, i)
    if values in _DRAWN:
        return _DRAWN[values](m)
    return str(m.choice(*values.split(";")))


def _bare_note(column: Column) -> str:
    """What else a column of the plan may be called without its header: codes, numbers and shapeless numbers do not tell their type."""
    values = column.values[0]
    codes = all(len(v) <= 4 for v in values.split(";")) and ";" in values
    if values.startswith(("number", "float")) or codes or column.entity_type == "password_or_secret":
        return "alt=none; alt=other_id; altclass=none; altclass=quasi"
    if values.startswith("~") and column.entity_type in ("national_id", "routing_number", "county", "zip", "ndc"):
        return "alt=other_id; alt=customer_id; alt=none; altclass=none; altclass=quasi"
    return without_header(column.entity_type)


def office_table(plan: Plan, seed: int) -> Table:
    """One table of the plan: cells as texts (empty is missing), and labels."""
    m = Office(np.random.default_rng([seed, *plan.name.encode()]), plan)
    columns, labels = {}, []
    for column in plan.columns:
        gap = float(m.choice(0, 0, 0.03, 0.15))
        cells = [_cell(m, str(m.choice(*column.values)), i) for i in range(plan.rows)]
        columns[column.header] = ["" if m.rng.random() < gap else cell for cell in cells]
        labels.append(
            {
                "table": f"{plan.name}.csv",
                "column": column.header,
                "entity_type": column.entity_type,
                "identifier_class": column.identifier_class,
                "note": column.note,
                "made": "yes",
                "held_out": "yes" if plan.second else "no",
                "bare": _bare_note(column),
            }
        )
    return Table(plan.name, columns, tuple(labels))


def office_tables(seed: int, *, second: bool = False) -> list[Table]:
    """The tables of one set of the plan; the same seed gives the same cells."""
    return [office_table(plan, seed) for plan in plans() if plan.second is second]
