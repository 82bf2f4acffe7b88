"""Values of every entity type, made from a seed with own check-digit functions; no copied rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FIRST = [
    "Anna",
    "Bruno",
    "Carla",
    "David",
    "Elena",
    "Frank",
    "Gloria",
    "Hugo",
    "Irene",
    "Jacob",
    "Karen",
    "Louis",
    "Maria",
    "Nora",
    "Oscar",
    "Paula",
    "Robert",
    "Sarah",
    "Thomas",
    "Laura",
]
LAST = [
    "Smith",
    "Johnson",
    "Garcia",
    "Mueller",
    "Rossi",
    "Dubois",
    "Schmidt",
    "Brown",
    "Wilson",
    "Martinez",
    "Weber",
    "Moreau",
    "Ferrari",
    "Jones",
    "Taylor",
    "Clark",
    "Lewis",
    "Young",
]
CITIES = [
    "Berlin",
    "Chicago",
    "Madrid",
    "Lyon",
    "Boston",
    "Seattle",
    "Dallas",
    "Denver",
    "Houston",
    "Phoenix",
    "Cologne",
    "Turin",
    "Valencia",
    "Porto",
    "Leeds",
    "Atlanta",
]
STATES = [
    "CA",
    "NY",
    "TX",
    "FL",
    "WA",
    "OR",
    "MA",
    "IL",
    "GA",
    "OH",
    "PA",
    "MI",
    "AZ",
    "CO",
]
COUNTRIES = [
    "Germany",
    "France",
    "Spain",
    "Italy",
    "Brazil",
    "Canada",
    "Japan",
    "Mexico",
    "Norway",
    "Poland",
]
JOBS = [
    "Nurse",
    "Software Engineer",
    "Sales Manager",
    "Teacher",
    "Electrician",
    "Accountant",
    "Bus Driver",
    "Data Analyst",
]
ILLS = [
    "Essential hypertension",
    "Type 2 diabetes mellitus",
    "Acute bronchitis",
    "Major depressive disorder",
    "Asthma",
    "Chronic kidney disease",
]
WORDS = [
    "the",
    "visit",
    "was",
    "short",
    "and",
    "all",
    "questions",
    "were",
    "answered",
    "before",
    "they",
    "left",
    "with",
    "a",
    "new",
    "plan",
    "for",
    "next",
    "week",
]


def luhn_digit(body: str) -> str:
    total = sum(sum(divmod(2 * int(d), 10)) for d in body[-1::-2]) + sum(int(d) for d in body[-2::-2])
    return str(-total % 10)


def digits(rng: np.random.Generator, n: int) -> str:
    return "".join(map(str, rng.integers(0, 10, n)))


def pick(rng: np.random.Generator, values: list[str]) -> str:
    return values[int(rng.integers(len(values)))]


def letters(rng: np.random.Generator, n: int, alphabet: str = "ABCDEFGHJKLMNPRSTUVWXYZ") -> str:
    return "".join(alphabet[i] for i in rng.integers(0, len(alphabet), n))


def card(rng: np.random.Generator) -> str:
    body = "4" + digits(rng, 14)
    return body + luhn_digit(body)


def npi(rng: np.random.Generator) -> str:
    body = "1" + digits(rng, 8)
    return body + luhn_digit("80840" + body)


def dea(rng: np.random.Generator) -> str:
    d = [int(c) for c in digits(rng, 6)]
    return f"{letters(rng, 1, 'ABF')}{letters(rng, 1)}{''.join(map(str, d))}{(d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10}"


def iban(rng: np.random.Generator) -> str:
    account = digits(rng, 18)
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


def routing(rng: np.random.Generator) -> str:
    body = f"{int(rng.integers(1, 13)):02d}{digits(rng, 6)}"
    total = sum(int(c) * w for c, w in zip(body, (3, 7, 1, 3, 7, 1, 3, 7), strict=True))
    return body + str(-total % 10)


def vin(rng: np.random.Generator) -> str:
    body = digits(rng, 17)
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11
    return body[:8] + "0123456789X"[total] + body[9:]


def loinc(rng: np.random.Generator) -> str:
    body = str(int(rng.integers(1000, 99999)))
    return f"{body}-{luhn_digit(body)}"


def ssn(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(1, 665)):03d}-{int(rng.integers(1, 99)):02d}-{int(rng.integers(1, 9999)):04d}"


def itin(rng: np.random.Generator) -> str:
    return f"9{digits(rng, 2)}-{int(rng.integers(70, 88)):02d}-{digits(rng, 4)}"


def day(low: int, high: int) -> Callable[[np.random.Generator], str]:
    return lambda r: f"{int(r.integers(low, high))}-{int(r.integers(1, 13)):02d}-{int(r.integers(1, 29)):02d}"


MAKERS: dict[str, Callable[[np.random.Generator], str]] = {
    "person_name": lambda r: f"{pick(r, FIRST)} {pick(r, LAST)}",
    "first_name": lambda r: pick(r, FIRST),
    "last_name": lambda r: pick(r, LAST),
    "email": lambda r: f"{pick(r, FIRST).lower()}{digits(r, 3)}@example.org",
    "phone": lambda r: f"({int(r.integers(200, 999))}) 555-{digits(r, 4)}",
    "street_address": lambda r: f"{int(r.integers(1, 9999))} {pick(r, LAST)} {pick(r, ['Street', 'Avenue', 'Road'])}",
    "city": lambda r: pick(r, CITIES),
    "state": lambda r: pick(r, STATES),
    "country": lambda r: pick(r, COUNTRIES),
    "zip": lambda r: f"{digits(r, 5)}-{digits(r, 4)}",
    "ssn": ssn,
    "itin": itin,
    "card_number": card,
    "iban": iban,
    "swift": lambda r: f"{letters(r, 4)}{pick(r, ['DE', 'FR', 'NL'])}{letters(r, 2)}",
    "routing_number": routing,
    "npi": npi,
    "dea": dea,
    "vin": vin,
    "icd10": lambda r: f"{letters(r, 1, 'ABCDEFGHIJKLMN')}{digits(r, 2)}.{digits(r, 1)}",
    "loinc": loinc,
    "ndc": lambda r: f"{digits(r, 5)}-{digits(r, 4)}-{digits(r, 2)}",
    "procedure_code": lambda r: digits(r, 5) if r.random() < 0.6 else f"{letters(r, 1, 'AGJ')}{digits(r, 4)}",
    "url": lambda r: f"https://example.org/{letters(r, 6).lower()}",
    "ip_address": lambda r: ".".join(str(int(x)) for x in r.integers(1, 255, 4)),
    "mac_address": lambda r: ":".join(f"{int(x):02x}" for x in r.integers(0, 256, 6)),
    "birth_date": day(1935, 2003),
    "event_date": day(2021, 2024),
    "timestamp": lambda r: (
        f"{day(2021, 2024)(r)} {int(r.integers(10, 24))}:{int(r.integers(10, 60))}:{int(r.integers(10, 60))}"
    ),
    "sex": lambda r: pick(r, ["M", "F"]),
    "race_ethnicity": lambda r: pick(r, ["White", "Black", "Asian", "Hispanic"]),
    "religion": lambda r: pick(r, ["Muslim", "Catholic", "Jewish", "Hindu", "none"]),
    "marital_status": lambda r: pick(r, ["single", "married", "divorced", "widowed"]),
    "education": lambda r: pick(r, ["High School", "Bachelor", "Master", "Doctorate"]),
    "nationality": lambda r: pick(r, ["German", "Mexican", "Canadian", "Kenyan", "Brazilian"]),
    "language": lambda r: pick(r, ["English", "Tagalog", "Swahili", "Hindi", "Arabic"]),
    "occupation": lambda r: pick(r, JOBS),
    "diagnosis_text": lambda r: pick(r, ILLS),
    "free_text": lambda r: " ".join(pick(r, WORDS) for _ in range(16)),
    "health_plan_id": lambda r: (
        f"1{letters(r, 1, 'ACDEFGH')}{letters(r, 1, 'ACDE')}{digits(r, 1)}{letters(r, 1, 'ACDE')}{letters(r, 1, 'TUVW')}"
        f"{digits(r, 1)}{letters(r, 2, 'ACDE')}{digits(r, 2)}"
    ),
    "photo_or_biometric": lambda r: "/9j/4AAQSkZJRg" + letters(r, 60),
    "password_or_secret": lambda r: f"$2b$12${letters(r, 22)}{letters(r, 20).lower()}",
    "coordinates": lambda r: f"POINT ({-r.random() * 100:.5f} {r.random() * 80:.5f})",
    "organization": lambda r: f"{pick(r, LAST)} {pick(r, ['Inc', 'GmbH', 'University', 'Hospital'])}",
}


def column(kind: str, rows: int = 200, seed: int = 7) -> list[str]:
    """`rows` values of one type."""
    rng = np.random.default_rng(seed)
    return [MAKERS[kind](rng) for _ in range(rows)]
