"""The closed list of entity types and what each means to HIPAA, the GDPR and masking.

What belongs here: one row per entity type. What does not: how a type is recognised (detectors, headers), or what a policy does
with it (masking). HIPAA letters are those of 45 CFR 164.514(b)(2)(i): (A) names to (R) any other unique identifying number.
GDPR categories: "personal" (Art. 4(1)), "special" (Art. 9(1)), or None where the type alone is not personal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

IdentifierClass = Literal["direct", "quasi", "sensitive", "none"]
GdprCategory = Literal["personal", "special"]
Level = Literal["public", "internal", "confidential", "restricted"]
HIPAA_IDENTIFIERS: dict[str, str] = {
    "A": "names",
    "B": "geographic subdivisions smaller than a state",
    "C": "dates directly related to an individual, and ages over 89",
    "D": "telephone numbers",
    "E": "fax numbers",
    "F": "electronic mail addresses",
    "G": "social security numbers",
    "H": "medical record numbers",
    "I": "health plan beneficiary numbers",
    "J": "account numbers",
    "K": "certificate and license numbers",
    "L": "vehicle identifiers and serial numbers, license plates",
    "M": "device identifiers and serial numbers",
    "N": "web universal resource locators",
    "O": "internet protocol addresses",
    "P": "biometric identifiers",
    "Q": "full face photographs",
    "R": "any other unique identifying number, characteristic or code",
}


@dataclass(frozen=True)
class EntityType:
    """One row of the taxonomy.

    Attributes:
        name: Entity type, as in verdicts.
        identifier_class: Default class of a column of this type in a table about persons.
        hipaa: Letter of the Safe Harbor list, or None.
        gdpr: GDPR category of the type in a table about persons.
        unique_by_nature: A value belongs to one person; such values may occur nowhere in a masked table.
        action: Recommended masking action, one of `config.dataset.Action`.
        business_class: Class where the table is about firms, shops or things: contact data of a firm identifies no person.
    """

    name: str
    identifier_class: IdentifierClass
    hipaa: str | None
    gdpr: GdprCategory | None
    unique_by_nature: bool
    action: str
    business_class: IdentifierClass


# name                class      HIPAA GDPR      unique  action             class in a table about firms or things
_ROWS = """
person_name           direct     A     personal  no      pseudonym          direct
first_name            direct     A     personal  no      pseudonym          direct
last_name             direct     A     personal  no      pseudonym          direct
email                 direct     F     personal  yes     format_preserving  none
phone                 direct     D     personal  yes     format_preserving  none
fax                   direct     E     personal  yes     format_preserving  none
street_address        direct     B     personal  no      pseudonym          none
city                  quasi      B     personal  no      pseudonym          none
state                 quasi      -     personal  no      keep               none
zip                   quasi      B     personal  no      generalise         none
county                quasi      B     personal  no      pseudonym          none
country               quasi      -     personal  no      keep               none
coordinates           direct     B     personal  no      generalise         none
ssn                   direct     G     personal  yes     format_preserving  direct
itin                  direct     R     personal  yes     format_preserving  direct
passport              direct     K     personal  yes     format_preserving  direct
driver_license        direct     K     personal  yes     format_preserving  direct
national_id           direct     R     personal  yes     format_preserving  direct
tax_id                direct     R     personal  yes     format_preserving  direct
card_number           direct     J     personal  yes     format_preserving  direct
iban                  direct     J     personal  yes     format_preserving  direct
swift                 quasi      -     -         no      keep               none
routing_number        quasi      -     -         no      keep               none
account_number        direct     J     personal  yes     format_preserving  direct
npi                   direct     K     personal  yes     format_preserving  direct
dea                   direct     K     personal  yes     format_preserving  direct
mrn                   direct     H     personal  yes     format_preserving  direct
health_plan_id        direct     I     personal  yes     format_preserving  direct
icd10                 sensitive  -     special   no      keep               none
loinc                 sensitive  -     special   no      keep               none
ndc                   sensitive  -     special   no      keep               none
procedure_code        sensitive  -     special   no      keep               none
vin                   direct     L     personal  yes     format_preserving  direct
license_plate         direct     L     personal  yes     format_preserving  direct
device_id             direct     M     personal  yes     format_preserving  direct
url                   direct     N     personal  no      format_preserving  none
ip_address            direct     O     personal  yes     format_preserving  direct
mac_address           direct     M     personal  yes     format_preserving  direct
username              direct     R     personal  yes     pseudonym          direct
password_or_secret    direct     R     personal  yes     redact             direct
birth_date            quasi      C     personal  no      generalise         quasi
death_date            quasi      C     personal  no      generalise         quasi
event_date            quasi      C     personal  no      date_shift         none
timestamp             none       C     -         no      date_shift         none
age                   quasi      C     personal  no      top_code           quasi
sex                   quasi      -     personal  no      keep               quasi
race_ethnicity        sensitive  -     special   no      keep               sensitive
religion              sensitive  -     special   no      keep               sensitive
nationality           quasi      -     personal  no      keep               quasi
marital_status        quasi      -     personal  no      keep               quasi
language              quasi      -     personal  no      keep               none
occupation            quasi      -     personal  no      keep               quasi
employer              quasi      -     personal  no      pseudonym          none
salary_or_income      sensitive  -     personal  no      generalise         sensitive
education             quasi      -     personal  no      keep               quasi
diagnosis_text        sensitive  -     special   no      keep               none
free_text             sensitive  -     personal  no      scrub              none
photo_or_biometric    direct     P     special   yes     drop               direct
customer_id           quasi      R     personal  no      pseudonym          quasi
other_id              none       -     -         no      pseudonym          none
organization          none       -     -         no      keep               none
none                  none       -     -         no      keep               none
"""


@cache
def taxonomy() -> dict[str, EntityType]:
    """All entity types by name, in the order of the table."""
    rows = (line.split() for line in _ROWS.strip().splitlines())
    return {r[0]: _entity(r) for r in rows}


def _entity(row: list[str]) -> EntityType:
    name, identifier_class, hipaa, gdpr, unique, action, business = row
    return EntityType(
        name=name,
        identifier_class=identifier_class,  # type: ignore[arg-type]
        hipaa=None if hipaa == "-" else hipaa,
        gdpr=None if gdpr == "-" else gdpr,  # type: ignore[arg-type]
        unique_by_nature=unique == "yes",
        action=action,
        business_class=business,  # type: ignore[arg-type]
    )


def entity_types() -> tuple[str, ...]:
    """Names of all entity types."""
    return tuple(taxonomy())


def gdpr_of(entity_type: str, identifier_class: IdentifierClass) -> GdprCategory | None:
    """GDPR category of one column, or None where it is about nobody.

    A sensitive column without an entity holds measurements, drugs or codes of care (data concerning health, Article 4(15)), or
    tells of political opinions, a trade union, sexual orientation or genes (Article 9(1)).
    """
    if identifier_class == "none":
        return None
    if identifier_class == "sensitive" and entity_type == "none":
        return "special"
    return taxonomy()[entity_type].gdpr or "personal"


def level_of(entity_type: str, identifier_class: IdentifierClass) -> Level:
    """Level of one column: what may happen to it without masking.

    Direct identifiers and Article 9 data are restricted, other sensitive data and quasi-identifiers confidential, keys and times
    internal, the rest public. The class decides first, so that the address of a shop is not treated like that of a person.
    """
    if identifier_class == "direct" or gdpr_of(entity_type, identifier_class) == "special":
        return "restricted"
    if identifier_class in ("quasi", "sensitive"):
        return "confidential"
    return "public" if entity_type == "none" else "internal"


def action_for(entity_type: str, identifier_class: IdentifierClass) -> str:
    """Recommended masking action of a column; columns of class none are kept, keys get pseudonyms either way."""
    entity = taxonomy()[entity_type]
    if entity_type in ("customer_id", "other_id"):
        return entity.action
    if identifier_class == "none":
        return "keep"
    return entity.action if entity.action != "keep" or identifier_class != "direct" else "pseudonym"
