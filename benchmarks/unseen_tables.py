"""Labelled tables that no rule was made from: header styles, languages and values of their own, from one seed.

Column names come from data/unseen_headers.txt (public standards and habits of seven languages), names and places from
data/unseen_values.csv (a sample of the MIT-licensed lists of Mimesis 22.2, none of which the classifier ships), numbers from
the check-digit functions of python-stdnum. Half of the names, chosen by hash, are "held out": errors were looked at in the other
half only. No row belongs to a person.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
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
LOCALES = ("en", "en", "en", "gb", "de", "de", "fr", "es", "it", "nl", "pt")
STYLES = ("snake", "camel", "pascal", "upper", "blank", "glued", "as_is")
PREFIXES = {
    "patient": ("pat_", "pt_", "patient_", "bene_"), "customer": ("cust_", "client_", "c_"), "employee": ("emp_", "staff_"),
    "member": ("mbr_", "usr_", "user_"), "firm": ("vendor_", "supplier_", "org_"),
}  # fmt: skip
DIRECT = frozenset(
    "person_name first_name last_name email phone fax street_address coordinates ssn itin passport driver_license national_id tax_id "
    "card_number iban account_number npi dea mrn health_plan_id vin license_plate device_id url ip_address mac_address username "
    "password_or_secret photo_or_biometric".split()
)
SENSITIVE = frozenset(
    "icd10 loinc ndc procedure_code race_ethnicity religion salary_or_income diagnosis_text free_text".split()
)
NONE = frozenset("timestamp other_id organization none".split())
OF_FIRMS = frozenset(
    "email phone fax street_address city state zip county country coordinates url event_date".split()
)  # business data: class none in a table of firms
PLANS: dict[str, tuple[str, ...]] = {
    "patient": tuple(
        "customer_id mrn first_name last_name person_name birth_date death_date sex race_ethnicity religion language marital_status "
        "street_address city state zip county country phone email ssn national_id passport driver_license health_plan_id icd10 "
        "diagnosis_text procedure_code event_date age free_text npi occupation photo_or_biometric loinc ndc dea other_id none none "
        "none timestamp".split()
    ),
    "customer": tuple(
        "customer_id first_name last_name person_name email phone street_address city state zip country birth_date age sex card_number "
        "iban swift routing_number account_number salary_or_income event_date other_id none none none timestamp username tax_id "
        "password_or_secret ip_address url language itin ssn coordinates vin license_plate free_text nationality".split()
    ),
    "employee": tuple(
        "customer_id first_name last_name person_name email phone fax birth_date sex marital_status nationality education occupation "
        "salary_or_income event_date event_date none none none username national_id ssn passport driver_license iban "
        "account_number street_address city zip religion language license_plate photo_or_biometric race_ethnicity employer".split()
    ),
    "member": tuple(
        "customer_id username email password_or_secret ip_address mac_address device_id timestamp timestamp url first_name last_name "
        "age sex country city language coordinates phone event_date none none none health_plan_id employer education free_text "
        "person_name other_id".split()
    ),
    "firm": tuple("other_id organization email phone fax street_address city state zip country url none none none event_date".split()),
}  # fmt: skip


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


@cache
def values() -> dict[tuple[str, str], list[str]]:
    """(locale, list) -> values."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    with (DATA / "unseen_values.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            found[row["locale"], row["list"]].append(row["value"])
    return dict(found)


_SHAPELESS = frozenset("account_number driver_license health_plan_id mrn device_id passport ssn".split())


def held_out(header: str) -> bool:
    """Whether a name is in the half whose errors nobody looked at."""
    return int(hashlib.md5(header.strip('"').lower().encode()).hexdigest(), 16) % 2 == 1


class Maker:
    """Values of one table: one language, one set of people."""

    def __init__(self, rng: np.random.Generator, locale: str, rows: int, subject: str) -> None:
        self.rng, self.locale, self.rows, self.subject = rng, locale, rows, subject
        female = rng.random(rows) < 0.5
        self.sex = ["F" if f else "M" for f in female]
        self.first = [self.one("female" if f else "male") for f in female]
        self.last = [self.one("last") for _ in range(rows)]
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
        "en": lambda: m.style.format(a=d(3, str(m.choice(2, 3, 4, 5, 6, 7, 8, 9))), b=d(3, str(m.choice(2, 3, 4, 5, 6, 7, 8, 9))), c=d(4)),
        "gb": lambda: m.choice("0{} {}", "+44 {} {}").format(d(4, "7"), d(6)),
        "de": lambda: m.choice("+49 {} {}", "0{}/{}", "0{} {}").format(d(3), d(7)),
        "fr": lambda: "0" + d(1, str(m.choice(1, 2, 4, 6, 7))) + "".join(f" {d(2)}" for _ in range(4)),
        "es": lambda: m.choice("+34 {} {} {}", "{} {} {}").format(d(3, str(m.choice(6, 7, 9))), d(3), d(3)),
        "it": lambda: m.choice("+39 {} {}", "{} {}").format(d(3, "3"), d(7)),
        "nl": lambda: m.choice("06-{}", "+31 6 {}").format(d(8)),
        "pt": lambda: f"({d(2)}) 9{d(4)}-{d(4)}",
    }[m.locale]()  # fmt: skip


def _zip(m: Maker) -> str:
    return {
        "gb": f"{m.letters(2, 'BCDELMNS')}{m.digits(1)} {m.digits(1)}{m.letters(2, 'ABDEFGHJLN')}",
        "nl": f"{m.digits(4)} {m.letters(2)}", "pt": f"{m.digits(5)}-{m.digits(3)}",
        "en": str(m.rng.integers(501, 99951)).zfill(5), "de": str(m.rng.integers(1067, 99999)).zfill(5),
        "fr": str(m.rng.integers(1000, 95999)).zfill(5), "es": str(m.rng.integers(1001, 52999)).zfill(5), "it": str(m.rng.integers(10, 98168)).zfill(5),
    }[m.locale]  # fmt: skip


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
        base = f"{m.letters(6)}{m.digits(2)}{m.letters(1, 'ABCDEHLMPRST')}{int(m.rng.integers(1, 29)):02d}{m.letters(1, 'ABCDEFGHL')}{m.digits(3)}"
        return base + codicefiscale.calc_check_digit(base)

    def fr() -> str:
        base = f"{m.choice(1, 2)}{int(m.rng.integers(40, 99))}{int(m.rng.integers(1, 13)):02d}{int(m.rng.integers(1, 95)):02d}{m.digits(3)}{m.digits(3)}"
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


ICD = "E11.9 I10 J45.909 M54.5 F32.9 K21.9 N39.0 E78.5 Z00.00 R51 J06.9 S93.401A I25.10 G43.909 C50.911 O80 L40.0 H52.13 E03.9 D50.9".split()
DIAGNOSES = {
    "en": "Essential hypertension;Type 2 diabetes mellitus;Acute bronchitis;Major depressive disorder;Chronic kidney disease, stage 3;Low back pain;"
    "Fracture of left wrist;Urinary tract infection;Atrial fibrillation;Migraine without aura;Osteoarthritis of knee;Iron deficiency anemia",
    "de": "Essentielle Hypertonie;Diabetes mellitus Typ 2;Akute Bronchitis;Depressive Episode;Rückenschmerzen;Vorhofflimmern;Migräne;Asthma bronchiale",
    "fr": "Hypertension essentielle;Diabète de type 2;Bronchite aiguë;Épisode dépressif;Lombalgie;Fibrillation auriculaire;Migraine;Anémie",
    "es": "Hipertensión esencial;Diabetes mellitus tipo 2;Bronquitis aguda;Episodio depresivo;Dolor lumbar;Fibrilación auricular;Migraña;Anemia",
    "it": "Ipertensione essenziale;Diabete mellito tipo 2;Bronchite acuta;Episodio depressivo;Lombalgia;Fibrillazione atriale;Emicrania;Anemia",
    "nl": "Essentiële hypertensie;Diabetes mellitus type 2;Acute bronchitis;Depressieve episode;Lage rugpijn;Boezemfibrilleren;Migraine;Bloedarmoede",
    "pt": "Hipertensão essencial;Diabetes mellitus tipo 2;Bronquite aguda;Episódio depressivo;Dor lombar;Fibrilação atrial;Enxaqueca;Anemia",
}  # fmt: skip
CATEGORIES: dict[str, dict[str, str]] = {
    "sex": {"en": "M;F|Male;Female|male;female;other;unknown", "de": "männlich;weiblich|m;w", "fr": "Homme;Femme|H;F", "es": "Hombre;Mujer|H;M",
            "it": "Maschio;Femmina|M;F", "nl": "Man;Vrouw|M;V", "pt": "Masculino;Feminino|M;F"},
    "marital_status": {"en": "Single;Married;Divorced;Widowed|S;M;D;W", "de": "ledig;verheiratet;geschieden;verwitwet",
                       "fr": "célibataire;marié(e);divorcé(e);veuf", "es": "soltero;casado;divorciado;viudo", "it": "celibe;coniugato;divorziato;vedovo",
                       "nl": "ongehuwd;gehuwd;gescheiden;weduwe", "pt": "solteiro;casado;divorciado;viúvo"},
    "race_ethnicity": {"en": "White;Black or African American;Asian;Hispanic or Latino;American Indian or Alaska Native|W;B;A;H;O", "pt": "Branca;Preta;Parda;Amarela;Indígena"},
    "religion": {"en": "Catholic;Protestant;Jewish;Muslim;Hindu;None;Other", "de": "römisch-katholisch;evangelisch;muslimisch;konfessionslos",
                 "fr": "catholique;protestant;musulman;juif;sans religion", "es": "católico;protestante;musulmán;ateo"},
    "education": {"en": "High School;Bachelor's degree;Master's degree;PhD;Some college", "de": "Hauptschule;Realschule;Abitur;Bachelor;Master;Promotion",
                  "fr": "Brevet;Baccalauréat;Licence;Master;Doctorat", "es": "Primaria;Secundaria;Bachillerato;Licenciatura;Doctorado",
                  "it": "Licenza media;Diploma;Laurea triennale;Laurea magistrale", "nl": "vmbo;havo;vwo;mbo;hbo;wo", "pt": "Fundamental;Médio;Superior;Pós-graduação"},
}  # fmt: skip
NOTES = {
    "en": "Patient called about {x} and asked for a new appointment;Spoke with {n}, who will send the missing form by {x};Customer was unhappy with the "
    "delay, refund offered and accepted;Follow up in two weeks, continue current treatment and check blood pressure;{n} reported {x} since last visit, no "
    "other complaints today;Left a message on the answering machine and will call back tomorrow",
    "de": "Frau {n} hat wegen {x} angerufen und um Rückruf gebeten;Kontrolle in zwei Wochen, Therapie wie bisher weiterführen;Unterlagen fehlen noch und werden nachgereicht",
    "fr": "Appel de {n} au sujet de {x}, rendez-vous fixé la semaine prochaine;Le dossier est incomplet et sera renvoyé par courrier;Suite du traitement sans changement",
    "es": "Llamó {n} por {x} y pidió una nueva cita;Falta un documento y lo enviará la semana próxima;Sigue el tratamiento sin cambios",
    "it": "Ha chiamato {n} per {x} e chiede un nuovo appuntamento;Manca un documento e verrà inviato la prossima settimana;Prosegue la terapia senza modifiche",
    "nl": "Gebeld met {n} over {x}, nieuwe afspraak volgende week;Er ontbreekt nog een formulier dat per post wordt nagestuurd;Behandeling wordt ongewijzigd voortgezet",
    "pt": "Ligação de {n} sobre {x}, nova consulta na próxima semana;Falta um documento que será enviado por correio;Segue o tratamento sem alterações",
}  # fmt: skip


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


MAKERS: dict[str, Callable[[Maker], list[str]]] = {
    "first_name": lambda m: list(m.first), "last_name": lambda m: list(m.last),
    "person_name": lambda m: (lambda f: m.column(lambda i: f.format(m.first[i], m.last[i])))(m.choice("{0} {1}", "{0} {1}", "{1}, {0}")),
    "email": lambda m: m.column(lambda i: f"{plain(m.first[i])}{m.choice('.', '_', '')}{plain(m.last[i])}{m.digits(2)}@{m.choice('mail.example', 'example.org', 'post.test')}"),
    "phone": lambda m: m.column(lambda _: _phone(m)), "fax": lambda m: m.column(lambda _: _phone(m)),
    "street_address": lambda m: m.column(lambda _: _street(m)), "city": lambda m: m.column(lambda _: m.one("city")),
    "state": lambda m: m.column(lambda _: m.choice(*"CA TX NY FL OH PA IL MA WA GA NC MI".split())) if m.locale == "en" and m.rng.random() < 0.6 else m.column(lambda _: m.one("state")),
    "zip": lambda m: m.column(lambda _: _zip(m)),
    "county": lambda m: m.column(lambda _: m.choice("Kent County", "Orange", "Cook", "Harris", "Maricopa", "King", "Wayne", "Suffolk") if m.locale == "en" else m.choice("Rhein-Neckar-Kreis", "Landkreis Gießen", "Kreis Unna", "Landkreis Harz")),
    "country": lambda m: m.column(lambda _: m.choice("US", "DE", "FR", "GB", "ES", "NL", "IT")) if m.rng.random() < 0.4 else m.column(lambda _: m.one("country")),
    "coordinates": lambda m: m.column(lambda _: f"{m.rng.uniform(30, 55):.6f}"),
    "ssn": lambda m: (lambda f: m.column(lambda _: f.format(str(m.rng.integers(1, 666)).zfill(3), str(m.rng.integers(1, 99)).zfill(2), str(m.rng.integers(1, 9999)).zfill(4))))(m.choice("{}-{}-{}", "{}{}{}")),
    "itin": lambda m: m.column(lambda _: f"9{m.digits(2)}-{m.rng.integers(70, 88)}-{m.digits(4)}"),
    "passport": lambda m: m.column(lambda _: m.digits(9) if m.locale in ("en", "gb") else f"{m.letters(2)}{m.digits(7)}"),
    "driver_license": lambda m: m.column(lambda _: f"{m.letters(1)}{m.digits(7)}"),
    "national_id": lambda m: m.column(lambda _: _national(m)),
    "tax_id": lambda m: m.column(lambda _: f"{m.choice(10, 20, 45, 84)}-{m.digits(7)}"),
    "card_number": lambda m: m.column(lambda _: _card(m)), "iban": lambda m: m.column(lambda _: iban_module.format(_iban(m)) if m.rows % 2 else _iban(m)),
    "swift": lambda m: m.column(lambda _: f"{m.letters(4)}{m.choice('DE', 'FR', 'GB', 'NL', 'US')}{m.letters(1)}{m.digits(1)}{m.choice('', 'XXX')}"),
    "routing_number": lambda m: m.column(lambda _: _routing(m)), "account_number": lambda m: m.column(lambda _: m.digits(10)),
    "npi": lambda m: m.column(lambda _: _npi(m)), "dea": lambda m: m.column(lambda _: _dea(m)),
    "mrn": lambda m: (lambda p: m.column(lambda _: p + m.digits(8)))(m.choice("MRN", "", "H-")),
    "health_plan_id": lambda m: (lambda p: m.column(lambda _: p + m.digits(9)))(m.choice("XEA", "W", "")),
    "icd10": lambda m: m.column(lambda _: str(m.choice(*ICD))), "loinc": lambda m: m.column(lambda _: (lambda b: f"{b}-{luhn.calc_check_digit(b)}")(m.digits(4))),
    "ndc": lambda m: m.column(lambda _: f"{m.digits(5)}-{m.digits(4)}-{m.digits(2)}"),
    "procedure_code": lambda m: m.column(lambda _: m.choice("99213", "99214", "36415", "80053", "G0439", "J1885", "71046", "93000", "A4253")),
    "vin": lambda m: m.column(lambda _: _vin(m)),
    "license_plate": lambda m: m.column(lambda _: f"{m.letters(1)}-{m.letters(2)} {m.digits(4)}" if m.locale == "de" else f"{m.letters(3)} {m.digits(4)}" if m.locale == "en" else f"{m.letters(2)}-{m.digits(3)}-{m.letters(2)}"),
    "device_id": lambda m: m.column(lambda _: (lambda b: b + luhn.calc_check_digit(b))(m.digits(14, "35"))) if m.rng.random() < 0.4 else m.column(lambda _: f"SN{m.letters(2)}{m.digits(8)}"),
    "url": lambda m: m.column(lambda i: f"https://{m.choice('www.', '')}{plain(m.last[i])}.example/{plain(m.first[i])}"),
    "ip_address": lambda m: m.column(lambda _: ".".join(str(x) for x in m.rng.integers(1, 255, 4))),
    "mac_address": lambda m: m.column(lambda _: ":".join(f"{x:02x}" for x in m.rng.integers(0, 256, 6))),
    "username": lambda m: m.column(lambda i: f"{plain(m.first[i])[:1]}{plain(m.last[i])}{m.digits(2)}"),
    "password_or_secret": lambda m: m.column(lambda _: "$2b$12$" + base64.b64encode(m.rng.bytes(39)).decode().replace("+", ".").rstrip("=")) if m.rng.random() < 0.5 else m.column(lambda _: base64.b64encode(m.rng.bytes(12)).decode()),
    "birth_date": lambda m: _dates(m, m.birth), "death_date": lambda m: [d if m.rng.random() < 0.3 else "" for d in _dates(m, [_day(m, "2010-01-01", "2025-01-01") for _ in range(m.rows)])],
    "event_date": lambda m: _dates(m, [_day(m, "2018-01-01", "2025-06-01") for _ in range(m.rows)]), "timestamp": _times,
    "age": lambda m: m.column(lambda _: str(m.rng.integers(18, 95))), "sex": _category("sex"), "race_ethnicity": _category("race_ethnicity"),
    "religion": _category("religion"), "marital_status": _category("marital_status"), "education": _category("education"),
    "nationality": lambda m: m.column(lambda _: m.one("nationality")), "language": lambda m: m.column(lambda _: m.one("language")),
    "occupation": lambda m: m.column(lambda _: m.one("job")), "employer": lambda m: m.column(lambda _: m.one("company")),
    "organization": lambda m: m.column(lambda _: m.one("company")),
    "salary_or_income": lambda m: m.column(lambda _: str(int(m.rng.lognormal(10.7, 0.4)))),
    "diagnosis_text": lambda m: m.column(lambda _: str(m.choice(*DIAGNOSES[_language(m)].split(";")))), "free_text": lambda m: m.column(lambda i: _note(m, i)),
    "photo_or_biometric": lambda m: m.column(lambda _: "data:image/png;base64," + base64.b64encode(m.rng.bytes(60)).decode()) if m.rng.random() < 0.6 else m.column(lambda _: base64.b64encode(m.rng.bytes(90)).decode()),
    "customer_id": lambda m: _keys(m, {"patient": "P", "customer": "C", "employee": "E"}.get(m.subject, "U")), "other_id": lambda m: _keys(m, "ORD-"),
}  # fmt: skip
_FLAG = r"active|consent|opt in|smoker|aktiv|actif|activ|attivo|actief|ativo|diabetes"
_WORDS = {
    r"status": "open;closed;pending", r"categor|kategorie|type|severity|priority|risk|channel": "A;B;C;low;high",
    r"currency|waehrung|währung|devise|moneda|moeda|valuta": "USD;EUR;GBP", r"colou?r": "red;blue;green;black",
    r"department|abteilung|service|departamento|reparto|afdeling|specialty": "Cardiology;Radiology;Surgery;Finance;Sales",
    r"product name": "Office chair;Desk lamp;Notebook A5;USB cable;Printer paper", r"relationship": "self;spouse;child",
    r"drug name": "Metformin 500 mg;Lisinopril 10 mg;Atorvastatin 20 mg;Amoxicillin 250 mg",
}  # fmt: skip


def none_values(m: Maker, header: str) -> list[str]:
    """Values of a column that tells of nobody, by what its name says."""
    name = header.lower().replace("_", " ")
    if re.search(_FLAG, name):
        return _pool(str(m.choice("Y;N", "true;false", "0;1")))(m)
    for pattern, pool in _WORDS.items():
        if re.search(pattern, name):
            return _pool(pool)(m)
    if re.search(
        r"quant|number|num |anzahl|nombre|numero|rating|bewertung|stay|duration|rate|menge|aantal|systolic|score", name
    ):
        return m.column(lambda _: str(m.rng.integers(0, 40)))
    return m.column(lambda _: f"{m.rng.lognormal(4, 0.8):.2f}")


def styled(name: str, style: str, prefix: str) -> str:
    """A column name in one style; names in quotes stay."""
    if name.startswith('"'):
        return name.strip('"')
    words = re.sub(r"[^\w]+", " ", name).split()
    if prefix and words[0] not in prefix:
        words = [prefix.rstrip("_"), *words]
    folded = [unicodedata.normalize("NFKD", w.replace("ß", "ss")).encode("ascii", "ignore").decode() for w in words]
    return {
        "snake": "_".join(folded), "upper": "_".join(folded).upper(), "camel": folded[0] + "".join(w.capitalize() for w in folded[1:]),
        "pascal": "".join(w.capitalize() for w in folded), "blank": " ".join(w.capitalize() for w in words), "glued": "".join(folded), "as_is": "_".join(words),
    }[style]  # fmt: skip


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
    m.style = str(m.choice("{a}-{b}-{c}", "({a}) {b}-{c}", "+1 {a} {b} {c}", "{a}.{b}.{c}", "{a}{b}{c}"))  # type: ignore[attr-defined]
    prefix = str(m.choice(*PREFIXES[subject])) if rng.random() < 0.3 and style != "glued" else ""
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


def _label(table: str, column: str, entity_type: str, subject: str, held: bool) -> dict[str, str]:  # noqa: FBT001
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
    return {
        "table": f"{table}.csv", "column": column, "entity_type": entity_type, "identifier_class": cls, "note": "; ".join(note),
        "header_obfuscated": "no", "made": "yes", "held_out": "yes" if held else "no",
    }  # fmt: skip


def _without_header(entity_type: str) -> str:
    """What else a column without a name may be called: its type cannot be told from values alone, as in the labelled tables."""
    if entity_type in _SHAPELESS:
        return "alt=other_id; alt=customer_id; altclass=none; altclass=quasi"
    return {
        "fax": "alt=phone", "coordinates": "alt=none; altclass=none", "customer_id": "alt=other_id; altclass=none",
        "other_id": "alt=customer_id; altclass=quasi", "timestamp": "altclass=quasi", "employer": "altclass=none",
        "salary_or_income": "alt=none; altclass=none", "organization": "alt=employer; altclass=quasi",
    }.get(entity_type, "")  # fmt: skip


def write_tables(
    folder: Path, *, tables: int = 100, seed: int = 20_261_121, opaque: bool = False
) -> list[dict[str, str]]:
    """Write the tables as CSV files; returns the labels.

    Args:
        folder: Where the files go.
        tables: How many.
        seed: The same seed gives the same bytes.
        opaque: Replace every header by col1, col2, ... and the table's name by a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = []
    for number in range(tables):
        table = make_table(seed, number)
        names = [f"col{i}" for i in range(1, len(table.columns) + 1)] if opaque else list(table.columns)
        file = f"table_{number:03d}.csv" if opaque else f"{table.name}.csv"
        for name, label in zip(names, table.labels, strict=True):
            firm = "altclass=direct; altclass=quasi" if "_firms" in table.name else ""  # nothing says that they are firms
            note = "; ".join(filter(None, (label["note"], _without_header(label["entity_type"]), firm) if opaque else (label["note"],)))
            named = {"table": file, "column": name, "header_obfuscated": "yes" if opaque else "no", "note": note}
            labels.append({**label, **named})
        with (folder / file).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(zip(*table.columns.values(), strict=True))
    return labels
