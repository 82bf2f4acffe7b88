"""Cities and addresses in running text that only their surroundings tell: after a preposition of place, a label, an address.

What belongs here: rules about the words around. What does not: forms that stand for themselves (patterns.py), names of people
(text.py). A word from the list of cities counts only where its surroundings speak of a place, since most are names and common
words too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from synth_assets.pii.dictionaries import normalise, word_list, word_set

Place = tuple[int, int]
_UPPER = "A-ZÀ-ÖØ-Þ"
_WORD = rf"(?:['\u2019]s-|d['\u2019]|l['\u2019]|L['\u2019])?[{_UPPER}][\w'\u2019]*\.?(?:-(?:\w+-){{0,3}}[{_UPPER}]\w*)*"
_LINK = r"(?:a\.d\.|am|an der|auf der|aan den|aan de|bei|im|in|de|de la|de los|del|den|der|do|da|di|la|le|les|of|sur|sous|upon|ob der)"
_PHRASE = rf"{_WORD}(?:(?: {_LINK})? {_WORD}){{0,3}}"
# Verbs with a preposition say that a place follows, whoever else has its name.
_SURE = (
    r"(?:relocated|moved|returned|transferred|travell?ed|flew|drove|emigrated|commutes) (?:in |over |back )?(?:to|from)"
    r"|(?:live[sd]?|living"
    r"|resid(?:es|ed|ing|ent)|born|raised|staying|based|practi[cs]es|works?|grew up|buried) (?:in|near|at|outside)"
    r"|city of|town of|native of|commutes from"
    r"|wohnt in|wohnhaft in|lebt in|geboren in|gebürtig aus|stammt aus|gezogen nach|kommt aus|zugezogen aus|Wohnort|Geburtsort"
    r"|née? à|habite(?: à)?|domiciliée? à|demeurant à|réside à|résidant à|originaire de|déménagé à|ville de|commune de"
    r"|vive en|vivía en|reside en|residente en|nacid[oa] en|natural de|vecin[oa] de|domiciliad[oa] en|mudó a|ciudad de"
    r"|(?:nat[oa]|residente|abita|vive|domiciliat[oa]) a|città di|comune di"
    r"|woont in|woonachtig (?:in|te)|geboren (?:in|te)|verhuisd (?:van|naar)|afkomstig uit|gemeente"
    r"|mora em|reside em|nascid[oa] em|natural de|cidade de"
    # institutions and journeys that are named by a town
    r"|(?:clinique|hôpital|CHU|CHR|CH|centre hospitalier|maternité|mairie|gare|préfecture|tribunal|agence|lycée) (?:de|d['\u2019])"
    r"|(?:hospital|clínica|ayuntamiento|juzgado|estación|sucursal|instituto|centro de salud) de"
    r"|(?:ospedale|clinica|tribunale|questura|stazione|filiale) di|(?:ziekenhuis|kliniek|filiaal|kantoor|praktijk) (?:in|te|van)"
    r"|(?:Klinik(?:um)?|Krankenhaus|Praxis|Filiale|Amtsgericht|Standesamt|Bürgeramt|Bahnhof|Reha) (?:in|von|zu)"
    r"|mit dem (?:Zug|Auto|Bus) (?:aus|nach)|arbeitet in|tätig in|studiert in"
    r"|(?:komt|komen) uit|afkomstig van|(?:werkt|studeert|verblijft) in|werkzaam in"
    r"|(?:travaille|étudie) à|(?:trabaja|estudia) en|trasladad[oa] (?:a|desde)|(?:lavora|studia) a|trasferit[oa] (?:a|da)"
    r"|(?:visit(?:ed|s|ing)|family|relatives|friends) in"
    r"|(?:hospital|clinic|office|branch|plant|depot|court|school|practice) (?:in|at|near)"
    r"|(?:city|town|stadt|ort|wohnort|geburtsort|place of birth|birthplace|ville|lieu de naissance|ciudad|localidad"
    r"|lugar de nacimiento|città|luogo di nascita"
    r"|woonplaats|geboorteplaats|plaats|cidade|localidade) ?:"
)
# Of these, the ones after which hardly anything but a place has a capital; German nouns have one after all of theirs.
_HOME = (
    r"(?:relocated|moved|emigrated) (?:to|from)|(?:live[sd]?|living|resid(?:es|ed|ing)|born|grew up) (?:in|near)|née? à"
    r"|habite à|domiciliée? à|déménagé à"
    r"|vive en|reside en|nacid[oa] en|vecin[oa] de|nat[oa] a|abita a|woont in|woonachtig (?:in|te)|verhuisd (?:van|naar)"
    r"|mora em|reside em|nascid[oa] em"
    r"|(?:komt|komen) uit|(?:werkt|studeert) in|travaille à|(?:trabaja|estudia) en|mit dem (?:Zug|Auto|Bus) (?:aus|nach)|clinique de"
    r"|(?:clínica|ayuntamiento) de"
)
_AND_TO = re.compile(rf" (?:to|nach|naar|à|a|para) ({_PHRASE})")
_PLAIN = r"in|near|outside|around|from|aus|nach|von|à|en|uit|naar|te|em"
_AFTER_SURE = re.compile(rf"(?<!\w)(?i:{_SURE}) +({_PHRASE})")
_AFTER_HOME = re.compile(rf"(?<!\w)(?i:{_HOME}) +({_PHRASE})")
_AFTER_PLAIN = re.compile(rf"(?<!\w)({_PLAIN}) ({_PHRASE})")
_STATE_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD"
    "|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
_WITH_STATE = re.compile(rf"({_PHRASE}), (?:{_STATE_CODES})\b")
_WITH_POSTCODE = re.compile(rf"\b(?:\d{{5}}|\d{{4}} ?[A-Z]{{2}}) ({_PHRASE})")
_BEYOND_ADDRESS = re.compile(
    rf"(?:,| in| à| en|) (?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}(?: ?[A-Z]{{2}})? )?({_PHRASE})(?=[.,;:)\n]|$| [A-Z]{{2}}\b| \d)"
)
_LABEL = (
    r"(?:home |new |mailing |street |postal |billing )?address(?: is| was| changed to)?|resid(?:es|ed|ing) at|lives? at"
    r"|living at|deliver(?:y|ed)? to"
    r"|(?:neue |alte )?(?:anschrift|adresse)(?: ist)?|wohnhaft(?: in| im)?|wohnt(?: in)?"
    r"|(?:nouvelle )?adresse(?: est)?|domiciliée?(?: au)?|demeurant(?: au)?|habite(?: au)?"
    r"|(?:nueva )?(?:dirección|domicilio)(?: es)?|domiciliad[oa] en|con domicilio en"
    r"|(?:nuovo )?indirizzo|residente in|domiciliat[oa] in|(?:nieuw |nieuwe )?(?:woon|bezorg|post)?adres(?: is)?|woont(?: op| aan)?"
    r"|(?:nova )?morada|endereço|residente na"
)
# Last words of streets beside those of patterns.py: a text with one of these rarely has an address, so masking does not look for them.
_RARE_STREETS = re.compile(
    r"\b\d{1,5} (?:[A-Z][A-Za-z'.]+ ){1,3}(?:Cove|Heights|Canyon|Bayou|Garden|Lake|Arcade|Freeway|Expressway|Hills?|Glen|Harbor"
    r"|Haven|Hollow|Knoll|Manor|Meadows?|Orchard|Shore|Trace|Vista|Creek|Falls|Landing|Point|Causeway|Bluff|Brook|Springs?|View)\b"
)
_STREET_WORD = rf"(?:(?:{_LINK}|du|des|dos|das|du) )*[{_UPPER}\d][\w'\u2019.\-]*"
_LABELLED = re.compile(
    rf"(?<!\w)(?i:{_LABEL}):? +(\d{{1,5}}[A-Za-z]?(?: bis| ter)?,? {_STREET_WORD}(?: {_STREET_WORD}){{0,4}}(?=[.,;)\n]| [a-z(]|$)"
    rf"|[{_UPPER}][\w'\u2019.\-]*(?: {_STREET_WORD}| [a-zà-ÿ]{{2,4}}){{0,6}}?,? \d{{1,5}} ?[A-Za-z]?(?![\w/.:\-]\d))(?!\w)"
)
# A number and capitalised words up to a mark, after a word of place or where letters go; times and amounts have no such words.
_GOES = (
    r"(?:(?:send|sent|mail(?:ed)?|post(?:ed)?|forward(?:ed)?|go(?:es)?|letters?|invoices?|parcels?|bills?|cards?) (?:\w+ ){0,3}to"
    r"|kin at|parents at|staying at|found at|home at|house at|flat at|moved to|was|now|formerly|previously)"
)
_SENT = re.compile(
    rf"(?<!\w)(?i:{_GOES}) (\d{{1,5}}[A-Za-z]? [{_UPPER}][a-zà-ÿ'\u2019]+(?: [{_UPPER}][a-zà-ÿ'\u2019]+){{1,3}})(?=[,.;)\n]|$| and\b)"
)
# After a mention of whose home it is: a name of a street in capitals and its number.
_KIN = (
    r"dochter|zoon|moeder|vader|zus|broer|ouders|tochter|sohn|mutter|schwester|bruder|eltern|fille|fils|mère|père|sœur|frère"
    r"|hija|hijo|madre|padre|hermana|hermano|figlia|figlio|sorella|fratello"
)
_AT_HOME = re.compile(
    r"(?<!\w)(?i:(?:bij|beim?|chez|con|presso) (?:(?:zijn|haar|de|der|seiner|ihrer|sa|son|su|la|el|il|sua|suo) )?"
    rf"(?:{_KIN}),|wohnt (?:noch|jetzt|nun|weiterhin)|wohnen (?:noch|jetzt)|viven? (?:ahora )?en|zieht um in)"
    rf" ([{_UPPER}][\w'\u2019.\-]*(?: {_STREET_WORD}| [a-zà-ÿ]{{1,6}}){{0,5}}?,? \d{{1,5}} ?[A-Za-z]?(?![\w/.:\-]\d))(?!\w)"
)
_LISTS = (
    "calendar_words",
    "countries",
    "nationalities",
    "languages",
    "organization_words",
    "diagnosis_words",
    "occupation_words",
)
# Listed cities that are common words with a capital after "in", "from", "nach" and the like.
_COMMON = word_set(
    "essen halle baden bergen sitten buchen wesen not linden wald berg heide see moor bad kissing rot weil ",
    "reading mobile bath nice hope independence enterprise liberty union orange center central home general man of police summit ward ",
    "surgery clinic hospital may march normal bend superior commerce progress defiance freedom energy eden paradise garden early best ",
    "los las la le les the el san santa saint tours vienne sens die der das den per pau pasen overleg opname hoorn ",
)


def cities(text: str, addresses: Sequence[Place]) -> Iterator[Place]:
    """Where cities stand.

    Args:
        text: Any text.
        addresses: Where addresses stand in it.

    Yields:
        First character and the one after the last.
    """
    for _, end in addresses:
        match = _BEYOND_ADDRESS.match(text, end)
        if match and not _is_boring(match[1]):
            yield _longest(match[1], match.start(1)) or match.span(1)
    yield from _homes(text)
    for pattern in (_WITH_POSTCODE, _WITH_STATE):
        places = (_longest(m[1], m.start(1), trailing=pattern is _WITH_STATE) for m in pattern.finditer(text))
        yield from (place for place in places if place)
    for match in _AFTER_PLAIN.finditer(text):
        found = _longest(match[2], match.start(2))
        if found and _fits_plain(match[1], text[slice(*found)], text[found[1] :]):
            yield found


def _homes(text: str) -> Iterator[Place]:
    """Cities after words that a place follows."""
    for match in _AFTER_SURE.finditer(text):
        found = _longest(match[1], match.start(1), sure=True) or _unlisted(text, match.start())
        if found:
            yield found
            further = _AND_TO.match(text, found[1])
            if further and not _is_boring(further[1]):
                yield _longest(further[1], further.start(1), sure=True) or further.span(1)


def labelled_addresses(text: str) -> Iterator[Place]:
    """Where addresses stand that a label tells, whatever the street is called, and those of rarer streets."""
    for match in _RARE_STREETS.finditer(text):
        yield match.span()
    for pattern in (_LABELLED, _SENT, _AT_HOME):
        for match in pattern.finditer(text):
            yield match.start(1), match.start(1) + len(match[1].rstrip(" ,."))


def _fits_plain(preposition: str, phrase: str, after: str) -> bool:
    """Whether a listed city after a mere preposition is meant: not where it is a common word, or may be a person."""
    words = normalise(phrase).split()
    if after.startswith(("'s", "\u2019s", "-")) or (len(words) == 1 and words[0] in _common()):
        return False
    if re.match(rf" [{_UPPER}]", after):
        return False  # a part of a longer name
    if preposition in {"from", "von", "near", "around"} and len(words) == 1:
        return words[0] not in word_list("first_names") and words[0] not in word_list("last_names")
    return True


def _unlisted(text: str, start: int) -> Place | None:
    """A place that no list has, after words about somebody's home."""
    match = _AFTER_HOME.match(text, start)
    if match is None or any(_is_boring(w) for w in match[1].split()):
        return None
    return match.start(1), match.start(1) + len(match[1].rstrip(".,"))


def _longest(phrase: str, start: int, *, trailing: bool = False, sure: bool = False) -> Place | None:
    """The longest listed city at the start (or at the end) of some words."""
    edges = [m.span() for m in re.finditer(r"\S+", phrase)]
    for size in range(len(edges), 0, -1):
        first, last = (edges[-size], edges[-1]) if trailing else (edges[0], edges[size - 1])
        part = phrase[first[0] : last[1]].rstrip(".,")
        if _is_city(part, sure=sure):
            return start + first[0], start + first[0] + len(part)
    return None


def _is_city(phrase: str, *, sure: bool = False) -> bool:
    name = normalise(phrase)
    if len(name) < 3 or name not in word_list("cities"):
        return False
    return name not in _common() if sure else not _is_boring(phrase)


def _is_boring(phrase: str) -> bool:
    name = normalise(phrase)
    return name in _common() or any(name in word_list(n) for n in _LISTS)


@cache
def _common() -> frozenset[str]:
    return _COMMON | word_list("calendar_words")
