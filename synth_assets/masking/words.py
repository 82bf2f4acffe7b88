"""Words of names and addresses: what counts as a part of a name, for scrubbing texts and for finding what was left in them.

What belongs here: splitting into words, and the words that are no names. What does not: replacing (scrub.py), counting (leakcheck.py).
The two use the same words, so that the check looks for exactly what scrubbing removes, and for more where a column was forgotten.
"""

from __future__ import annotations

import ibis.expr.types as ir

from synth_assets.masking.arrays import each, extract_all

WORD = r"[\pL\pM\pN]+"
NAMES = frozenset({"person_name", "first_name", "last_name"})
PLACES = frozenset({"street_address", "city", "county"})
TITLE_WORDS = "mr mrs ms miss dr prof sir jr sr ii iii iv md phd rn do esq van von der den del de la le da di bin al el"
COMMON_WORDS = (
    "street road avenue lane drive court place square terrace boulevard highway parkway circle trail route apartment suite unit floor "
    "north south east west upper lower saint fort port mount lake city town village county beach park springs falls hill hills valley "
    "heights river center centre main first second third fourth fifth sixth seventh eighth ninth tenth building room plaza alley "
    "crescent close gardens green grove view ridge straße strasse platz rue calle post"
)


def words_of(text: ir.StringValue) -> ir.ArrayValue:
    """All words of a text, in lower case, ß as ss; null for null."""
    return extract_all(text.lower().replace("ß", "ss"), WORD)


def name_words(text: ir.StringValue, entity_type: str) -> ir.ArrayValue:
    """The words of a name or address that tell of a person, position by position; "" for those that do not.

    Of names: two letters or more, no titles. Of places: four letters or more, no digits, no common parts of addresses.
    """
    place = entity_type in PLACES
    boring = (TITLE_WORDS + " " + COMMON_WORDS if place else TITLE_WORDS).split()
    words = words_of(text)
    if place:
        return each(words, lambda w: ((w.length() >= 4) & ~w.isin(boring) & ~w.re_search(r"\pN")).ifelse(w, ""))
    alone = each(words, lambda w: (w.length() >= 2).ifelse(w, ""))  # a last name such as Do or Le
    return (words.length() == 1).ifelse(
        alone, each(words, lambda w: ((w.length() >= 2) & ~w.isin(boring)).ifelse(w, ""))
    )
