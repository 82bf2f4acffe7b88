"""Check digits and number plans: one predicate per identifier, True where a text is a valid one.

What belongs here: thin, exception-free faces of python-stdnum, and the few that it lacks (NPI, DEA, ITIN ranges, LOINC, MBI, VIN).
What does not: telling columns apart (detectors.py). A valid check digit alone occurs by chance; `CHANCE` says how often.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache

_NOT_DIGIT = re.compile(r"\D")
_LETTERS = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)

# Chance that a random text of the right form passes, for the identifiers whose form alone is common.
CHANCE: dict[str, float] = {
    "card_number": 0.1, "npi": 0.1, "dea": 0.1, "iban": 0.01, "routing_number": 0.1, "vin": 0.09, "imei": 0.1, "loinc": 0.1,
    "clabe": 0.1, "ccc": 0.01, "kvnr": 0.1, "national_id": 0.1, "tax_id": 0.85, "ssn": 0.88, "itin": 0.05, "isbn": 0.1,
}  # fmt: skip

# National numbers of persons with check digits, by python-stdnum: module, chance of a random text of its form to pass.
NATIONAL_IDS: dict[str, float] = {
    "nl.bsn": 0.09, "es.dni": 0.05, "es.nie": 0.05, "fr.nir": 0.011, "it.codicefiscale": 0.04, "br.cpf": 0.01, "pl.pesel": 0.02,
    "ca.sin": 0.1, "gb.nhs": 0.09, "in_.aadhaar": 0.08, "se.personnummer": 0.03, "de.idnr": 0.05, "fi.hetu": 0.01,
    "no.fodselsnummer": 0.005, "dk.cpr": 0.3, "be.nn": 0.01, "ro.cnp": 0.03, "bg.egn": 0.03, "cz.rc": 0.03, "pt.cc": 0.05,
    "ch.ssn": 0.05, "at.vnr": 0.03, "mx.curp": 0.02, "cl.rut": 0.09, "cn.ric": 0.02, "kr.rrn": 0.03, "tr.tckimlik": 0.01,
    "za.idnr": 0.03, "lt.asmens": 0.03, "ee.ik": 0.03, "hr.oib": 0.1, "au.tfn": 0.09,
}  # fmt: skip
TAX_IDS: dict[str, float] = {
    "us.ein": 0.85, "eu.vat": 0.02, "br.cnpj": 0.01, "fr.siret": 0.01, "fr.siren": 0.1, "es.cif": 0.1, "it.iva": 0.1, "in_.gstin": 0.03,
    "au.abn": 0.011, "de.vat": 0.09, "mx.rfc": 0.3, "in_.pan": 0.3,
}  # fmt: skip

_LENGTHS = {"pt.cc": re.compile(r"\d{8} ?\d ?(?=.?[A-Z])[A-Z0-9]{2} ?\d")}


def digits(text: str) -> str:
    """Only the digits of a text."""
    return _NOT_DIGIT.sub("", text)


@cache
def stdnum(module: str) -> Callable[[str], bool]:
    """`is_valid` of one module of python-stdnum, which never raises on bad numbers.

    Args:
        module: Name below `stdnum`, such as "nl.bsn".
    """
    check: Callable[[str], bool] = importlib.import_module(f"stdnum.{module}").is_valid
    return check


@cache
def national(module: str) -> Callable[[str], bool]:
    """A number with check digits of one country, in its own length: some modules of python-stdnum accept any length.

    Args:
        module: Key of NATIONAL_IDS or TAX_IDS.
    """
    check, form = stdnum(module), _LENGTHS.get(module)
    return check if form is None else lambda text: bool(form.fullmatch(text.strip().upper())) and check(text)


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1 check digit over all digits of a text, at least two."""
    number = digits(text)
    if len(number) < 2:
        return False
    even = sum(int(d) for d in number[-1::-2])
    odd = sum(sum(divmod(2 * int(d), 10)) for d in number[-2::-2])
    return (even + odd) % 10 == 0


def card_number(text: str) -> bool:
    """12 to 19 digits, an issuer range in use (ISO/IEC 7812: 2 to 6), not all alike, Luhn; 15 digits only where issuers give them."""
    number = digits(text)
    if len(number) == 15 and not number.startswith(("34", "37", "1800", "2131", "2014", "2149")):
        return False  # IMEIs have 15 digits and the same check digit
    return 12 <= len(number) <= 19 and number[0] in "23456" and len(set(number)) > 1 and luhn(number)


def iban(text: str) -> bool:
    """ISO 13616: country, length, mod 97; not the national check digits inside, which many made IBANs lack."""
    from stdnum.iban import is_valid

    return bool(is_valid(text, check_country=False))


def npi(text: str) -> bool:
    """US National Provider Identifier: 10 digits from 1 or 2, Luhn over 80840 and the number (45 CFR 162.406)."""
    number = digits(text)
    return len(number) == 10 and number[0] in "12" and luhn("80840" + number)


def dea(text: str) -> bool:
    """US DEA registration: two letters (second may be 9), 7 digits, last = last of (d1+d3+d5) + 2 (d2+d4+d6)."""
    match = re.fullmatch(r"[ABCDEFGHJKLMPRSTUX][A-Z9](\d{7})", text.strip().upper())
    if not match:
        return False
    d = [int(c) for c in match.group(1)]
    return (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def vin(text: str) -> bool:
    """ISO 3779 with the North American check digit (49 CFR 565.15): 17 characters without I, O, Q."""
    number = text.strip().upper()
    if not re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", number):
        return False
    total = sum((int(c) if c.isdigit() else _LETTERS[c]) * w for c, w in zip(number, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == number[8]


def routing_number(text: str) -> bool:
    """ABA routing number: 9 digits, a Federal Reserve prefix in use, weights 3 7 1."""
    number = digits(text)
    if len(number) != 9 or number == "000000000":
        return False
    prefix = int(number[:2])
    in_use = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    return in_use and sum(int(c) * w for c, w in zip(number, (3, 7, 1) * 3, strict=True)) % 10 == 0


def ssn(text: str) -> bool:
    """US social security number that can have been issued: area not 000, 666, 900 to 999; group not 00; serial not 0000."""
    number = digits(text)
    if len(number) != 9:
        return False
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def itin(text: str) -> bool:
    """US individual taxpayer number: 9xx, group 50 to 65, 70 to 88, 90 to 92, 94 to 99 (IRS, 26 CFR 301.6109-1)."""
    number = digits(text)
    if len(number) != 9 or number[0] != "9":
        return False
    group = int(number[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def imei(text: str) -> bool:
    """15 digits with Luhn (3GPP TS 23.003)."""
    return len(digits(text)) == 15 and luhn(text)


def loinc(text: str) -> bool:
    """LOINC code: 1 to 7 digits, hyphen, Luhn check digit."""
    return bool(re.fullmatch(r"\d{1,7}-\d", text.strip())) and luhn(text)


def swift(text: str) -> bool:
    """ISO 9362: 8 or 11 characters with a country in positions 5 and 6."""
    from synth_assets.pii.dictionaries import word_list

    code = text.strip().upper()
    return bool(re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", code)) and code[4:6].lower() in word_list(
        "country_codes"
    )


def isbn(text: str) -> bool:
    """ISBN or EAN-13 with its check digit: the key of a thing."""
    return stdnum("isbn")(text) or stdnum("ean")(text)


def clabe(text: str) -> bool:
    """Mexican CLABE: 18 digits, the last from the products by 3 7 1 modulo 10 (Banco de México, CLABE)."""
    number = digits(text)
    if len(number) != 18:
        return False
    return -sum(int(d) * w % 10 for d, w in zip(number[:17], (3, 7, 1) * 6, strict=False)) % 10 == int(number[17])


def kvnr(text: str) -> bool:
    """German health insurance number (§ 290 SGB V): a letter, nine digits, the last from weights 1 2 over the rest."""
    number = text.strip().upper()
    if not re.fullmatch(r"[A-Z]\d{9}", number):
        return False
    body = f"{ord(number[0]) - 64:02d}{number[1:9]}"
    return sum(sum(divmod(int(d) * w, 10)) for d, w in zip(body, (1, 2) * 5, strict=True)) % 10 == int(number[9])


VALIDATORS: dict[str, Callable[[str], bool]] = {
    "card_number": card_number, "iban": iban, "npi": npi, "dea": dea, "vin": vin, "routing_number": routing_number, "ssn": ssn,
    "itin": itin, "imei": imei, "loinc": loinc, "swift": swift, "isbn": isbn, "clabe": clabe, "kvnr": kvnr, "ccc": stdnum("es.ccc"),
}  # fmt: skip
