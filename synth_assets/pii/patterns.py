"""Forms of values as regular expressions in the RE2 dialect: the same text runs in Arrow, in DuckDB, in Spark and in `re`.

What belongs here: forms only. What does not: check digits (checksums.py), what a form means for a column (detectors.py).
CELL holds whole-cell forms without anchors; TEXT holds forms to find inside running text (masking uses them as SQL regex).
"""

from __future__ import annotations

_MONTH = r"(?:jan|feb|mar|m[aä]r|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez)[a-zé]*\.?"
_TIME = r"[T ]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_DAY = (
    r"(?:(?:1[5-9]|2[01])\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:3[01]|[12]\d|0?[1-9])"
    r"|(?:3[01]|[12]\d|0?[1-9])[-/.](?:3[01]|[12]\d|0?[1-9])[-/.](?:(?:1[5-9]|2[01])\d{2}|\d{2})"
    rf"|(?i:(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|\.)?[- /]{_MONTH}[- /,]+(?:(?:1[5-9]|2[01])\d{{2}}|\d{{2}}))"
    rf"|(?i:{_MONTH}[- ](?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?[-, ]+(?:1[5-9]|2[01])\d{{2}})"
    r"|(?:1[89]|20)\d{2}(?:0[1-9]|1[0-2])(?:3[01]|[12]\d|0[1-9]))"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_HEX = r"[0-9A-Fa-f]{1,4}"
_IPV6 = rf"(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}(?::{_HEX}){{0,6}})?::(?:{_HEX}(?::{_HEX}){{0,6}})?"
_EMAIL = r"[A-Za-z0-9._%+'\-]+@[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?\.[A-Za-z]{2,24}"
_LETTER = "A-Za-zÀ-ÖØ-öø-ɏͰ-ԯ一-鿿"  # Latin with accents, Greek, Cyrillic, Chinese: names of people and of domains
_DOMAIN_ENDING = rf"(?:(?i:xn)--[A-Za-z0-9]{{2,20}}|[{_LETTER}]{{2,24}})"
_EMAIL_ANYWHERE = rf"[{_LETTER}0-9._%+'\-]+@[{_LETTER}0-9](?:[{_LETTER}0-9.\-]*[{_LETTER}0-9])?\.{_DOMAIN_ENDING}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,18}"
_NAME = (
    r"[\wÀ-ÿ'" + "\u2019" + r"\-]"
)  # the typographic apostrophe as a character: RE2 and `re` spell its escape differently

_CAPITAL = r"[A-Z][A-Za-z'.]+"
_PART = r"(?:de|du|des|la|le|les|del|los|las|di|da|do|dos|della|delle|dei|d'|l'|y|e|[A-ZÀ-Ö0-9][\wÀ-ÿ'.\-]*)"
_STREETS = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Way|Terrace|Ter|Highway|Hwy|Parkway|Pkwy|Circle|Cir"
    "|Square|Sq|Trail|Trl|Plaza|Crescent|Grove|Gardens|Close|Alley|Row|Walk|Mews|Pike|Turnpike|Loop|Run|Path|Ridge|Crossing|Estate"
)
_PHONE_WORDS = (
    "phone|tel|telephone|telefon|telefoon|téléphone|teléfono|telefono|telefone|mobile|mobil|cell|fax|handy|portable|móvil|cellulare|ph"
    "|call(?: back)?(?: at)?|reach(?: me)? at|ring|rückruf(?: unter)?|rappeler au|joindre au|llamar al|bellen"
)

CELL: dict[str, str] = {
    "email": _EMAIL,
    "email_like": r"[^@\s]+@[^@\s]+",
    "url": rf"(?i:(?:https?|ftp|s3|file)://\S+|www\d?\.\S+|{_HOST}(?::\d+)?/\S*)",
    "domain": _HOST,
    "ipv4": _IPV4 + r"(?::\d{1,5}|/\d{1,2})?",
    "ipv6": _IPV6,
    "mac": r"[0-9A-Fa-f]{2}(?:[:\-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}",
    "uuid": r"\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?",
    "hex_hash": r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}|[0-9A-F]{32}|[0-9A-F]{40}|[0-9A-F]{64}",
    "password_hash": r"\$(?:2[abxy]?|argon2\w*|5|6|pbkdf2\S*|scrypt|apr1|1)\$\S{10,}|\{(?:SHA|SSHA|MD5|CRYPT)\}\S+|pbkdf2_sha\d+\$\S+",
    "api_token": (
        r"(?:sk|pk|rk)_(?:live|test)_\w{10,}|gh[pousr]_\w{20,}|xox[abp]-\S{10,}|AKIA[0-9A-Z]{16}"
        r"|eyJ[\w\-]+\.[\w\-]+\.[\w\-]*|AIza[\w\-]{35}"
    ),
    "ssn_dashed": r"\d{3}[- ]\d{2}[- ]\d{4}",
    "nine_digits": r"\d{9}",
    "ein_dashed": r"\d{2}-\d{7}",
    "ten_digits": r"\d{10}",
    "ifsc": r"[A-Z]{4}0[A-Z0-9]{6}",  # Reserve Bank of India
    "clabe": r"\d{18}",
    "ccc": r"\d{4}[ -]?\d{4}[ -]?\d{2}[ -]?\d{10}",
    "epic": r"[A-Z]{3}\d{7}",  # electors photo identity card of India
    "kvnr": r"[A-Z]\d{9}",
    "pan_in": r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]",  # Income Tax Department of India, the fourth letter tells the kind of holder
    "card": r"\d{12,19}|\d{4}[- ]\d{4}[- ]\d{4}[- ]\d{1,7}|\d{4}[- ]\d{6}[- ]\d{5}",
    "card_masked": r"(?:[X*•x]{4}[- ]?){2,4}\d{2,4}|\d{4,6}[X*•x]{4,10}\d{4}",
    "iban": r"(?i:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)",
    "swift": r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?",
    "dea": r"[A-Z][A-Z9]\d{7}",
    "mbi": r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}",
    "vin": r"[A-HJ-NPR-Z0-9]{17}",
    "vin_world": r"(?:[A-HJ-NPR-Z][A-HJ-NPR-Z0-9]{2}|\d[A-HJ-NPR-Z][A-HJ-NPR-Z0-9])[A-HJ-NPR-Z0-9]{10}\d{4}",
    "vin_part": r"[A-HJ-NPR-Z0-9]{9,17}",
    "imei": r"\d{15}|\d{2}-\d{6}-\d{6}-\d",
    "udi": r"\(01\)\d{14}.*",
    "icd10": r"[A-TV-Za-tv-z]\d[0-9A-Za-z](?:\.?[0-9A-Za-z]{1,4})?",
    "icd10_dotted": r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}",
    "icd9": r"(?:\d{3}(?:\.\d{1,2})?|V\d{2}(?:\.\d{1,2})?|E\d{3}(?:\.\d)?)",
    "loinc": r"\d{1,5}-\d",
    "ndc": r"\d{4}-\d{4}-\d{2}|\d{5}-\d{3}-\d{2}|\d{5}-\d{4}-\d{1,2}",
    "ndc_product": r"\d{4,5}-\d{3,4}",
    "ndc11": r"\d{11}",
    "cpt": r"\d{5}|\d{4}[FTUM]",
    "hcpcs": r"[A-V]\d{4}",
    "phone": r"(?:\+|00)?\(?\d{1,5}\)?(?:[ .\-/()]*\d){5,13}(?: ?(?:x|ext\.?|#|ext:) ?\d{1,6})?",
    "phone_formatted": (
        r"(?:\+|00)\d{1,3}[ .\-/()]*\d(?:[ .\-/()]*\d){5,12}(?: ?(?:x|ext\.?|#) ?\d{1,6})?"
        r"|(?:\+?1[ .\-])?\(?[2-9]\d{2}\)?[ .\-]+\d{3}[ .\-]+\d{4}(?: ?(?:x|ext\.?|#) ?\d{1,6})?"
        r"|\(\d{2,5}\)[ \-]?\d[\d \-]{4,10}(?: ?(?:x|ext\.?|#) ?\d{1,6})?|0\d{1,4}[ /.\-]\d(?:[ .\-/]?\d){4,9}"
    ),
    "zip_us": r"\d{5}(?:-\d{4})?",
    "zip_world": (
        r"\d{5}-\d{4}|\d{5}-\d{3}|\d{4} ?[A-Z]{2}"
        r"|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z] \d[A-Z]\d|\d{3} \d{2}|\d{2}-\d{3}|\d{4}-\d{3}|[A-Z]{1,2}-\d{4,5}"
    ),
    "zip_glued": r"[A-Z]{1,2}\d[A-Z\d]?\d[A-Z]{2}|[A-Z]\d[A-Z]\d[A-Z]\d",
    "zip_any": r"[A-Za-z0-9]{2,5}[ \-]?[A-Za-z0-9]{0,5}",
    "date": _DAY + rf"(?:{_TIME})?",
    "datetime": _DAY + _TIME,
    "midnight": _DAY + r"[T ]+0{1,2}:00(?::00(?:[.,]0{1,9})?)?(?: ?(?:Z|UTC|[+-]00:?00))?",
    "date_eight": r"(?:1[89]|20)\d{2}(?:0[1-9]|1[0-2])(?:3[01]|[12]\d|0[1-9])",
    "year": r"(?:1[6-9]|20)\d{2}(?:\.0)?",
    "time": r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?",
    "epoch": r"1[0-9]{9}(?:\d{3})?(?:\.\d+)?",
    "integer": r"[+-]?\d+(?:\.0+)?",
    "number": r"[+-]?(?:\d{1,3}(?:[, ]\d{3})+|\d+)?(?:[.,]\d+)?(?:[eE][+-]?\d+)?",
    "money": r"[$€£¥] ?-?[\d.,]+|-?[\d.,]+ ?(?:[$€£¥%]|USD|EUR|GBP|CHF)",
    "point": (
        r"(?i:POINT ?\(-?\d{1,3}\.\d+ +-?\d{1,3}\.\d+\))|[(\[]?-?\d{1,3}\.\d{2,}[,; ] *-?\d{1,3}\.\d{2,}[)\]]?"
        r"|\d{1,3}°.*[NSEWO]"
    ),
    "open_location_code": (  # full, padded, or short with or without a town: Open Location Code specification
        r"(?i:[23456789C][23456789CFGHJMPQRV][23456789CFGHJMPQRVWX]{6}\+(?:[23456789CFGHJMPQRVWX]{2,7})?"
        r"|[23456789C][23456789CFGHJMPQRV](?:[23456789CFGHJMPQRVWX]{4}00|[23456789CFGHJMPQRVWX]{2}0000|000000)\+"
        r"|[23456789CFGHJMPQRVWX]{4,6}\+[23456789CFGHJMPQRVWX]{2,7}(?:,? \S.*)?)"
    ),
    "grid_reference": (  # military grid, what3words
        r"\d{1,2}[C-HJ-NP-X] ?[A-HJ-NP-Z]{2} ?(?:\d{2} ?\d{2}|\d{3} ?\d{3}|\d{4} ?\d{4}|\d{5} ?\d{5})|///?\w+\.\w+\.\w+"
    ),
    "image_bytes": r"(?:data:image/\S{20,}|/9j/[A-Za-z0-9+/=]{16,}|iVBORw0KGgo\S*|R0lGOD\S{8,}"
    r"|0x(?:151C2F00|FFD8FF|89504E47)[0-9A-Fa-f]*)",
    "image_file": r"(?i:\S+\.(?:jpe?g|png|gif|bmp|webp|tiff?|dcm|wav|mp3))",
    "long_blob": r"[A-Za-z0-9+/]{60,}={0,2}|(?:0x)?[0-9A-Fa-f]{60,}",
    "prefixed_code": r"[A-Za-z]{1,6}[-_#]?\d{2,}[-\w]*",
    "upper_code": r"[A-Z]+[0-9][A-Z0-9]*|[0-9]+[A-Z][A-Z0-9]*",
    "code_like": r"[A-Za-z0-9]+(?:[-_./#:][A-Za-z0-9]+)*",
    "house_first": r"\d{1,6}[A-Za-z]?(?:[-/ ]\d+)?,? +[^\d\s].*[^\d\s].*",
    "house_last": r"[^\d].*[^\d\s][, ]+(?:[Nn][rº°o]\.? ?)?\d{1,5} ?[A-Za-z]?(?:[-/ ,].{0,20})?",
    "po_box": r"(?i:p\.? ?o\.? ?box .*|postfach .*|c\.?p\.? \d+|apartado .*|bp \d+)",
    "login": r"[a-z][a-z0-9._\-]{2,30}",
    "login_strong": r"(?i:[a-z]{2,}[._]?[a-z]*\d{1,4}|[a-z]+[._][a-z]+|@\w{2,}|[a-z]\w*\\\w+)",
    "name_word": r"[^\d\W_][^\d_!?;:@#$%&*/\\<>=+|~^]*",
    "national": (  # forms of national numbers that hardly anything else has: GB, IT, FR, MX, BR, SE, ES, IN
        r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Z]|[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]|[12] \d{2} \d{2} \d{2} \d{3} \d{3}(?: ?\d{2})?"
        r"|[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d|\d{3}\.\d{3}\.\d{3}-\d{2}|\d{8}-?[A-HJ-NP-TV-Z]|\d{4} \d{4} \d{4}"
    ),
    "company_number": r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|\d{2}[A-Z]{5}\d{4}[A-Z]\d[A-Z]\w",
    "two_capitals": (
        r"[A-ZÀ-ÖØ-Þ][\wà-öø-ÿ'\-]*,?(?: [A-ZÀ-ÖØ-Þ]\.)?(?: (?:van|von|de|der|den|da|di|del|dos|la|le|ten|ter)){0,2}"
        r"(?: [A-ZÀ-ÖØ-Þ][\wà-öø-ÿ'\-]+){1,2}"
    ),
    "capital_word": r"(?:(?:[a-z]{2,3} ){0,2}[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ'\-]+(?:[ \-][A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ'\-]+)?)",
    "colour": r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|rgb\([\d, ]+\)",
    "snomed": r"\d{6,18}",
    "mrn_like": r"(?i:(?:MRN|MR|PT|M|H|P)[-#: ]?\d{5,10}(?:-\d)?)",
    "flag": r"(?i:y|n|yes|no|true|false|t|f|0|1|ja|nein|oui|non|si|sì|sí|não|nao|vero|falso|x|-|0\.0|1\.0)",
    "initial": r"[A-Za-z]\.?",
    "file": (
        r"(?i:[^@]+\.(?:csv|tsv|txt|json|xml|html?|pdf|docx?|xlsx?|pptx?|js|css|py|java|sh|log|zip|gz|tar|mp[34]|wav|flac|avi|mov|webm"
        r"|gif|png|jpe?g|bmp|tiff?|svg|od[tsp]|numbers|key|pages))"
    ),
    "document_number": r"[A-Z]{0,3}\d{6,12}",
    "plate_like": r"[A-Z0-9]{1,4}(?:[- ]?[A-Z0-9]{1,5}){0,2}",
    "plate": r"(?:[A-Z]{1,3}[- ]?){1,2}\d{1,4}[- ]?[A-Z]{0,3}|\d{1,4}[- ]?[A-Z]{1,4}[- ]?\d{0,4}",
}

TEXT: dict[str, str] = {
    "email": _EMAIL_ANYWHERE,
    "url": r"(?:https?|ftp)://[^\s<>\"']+|www\.[^\s<>\"']+",
    "ip_address": rf"\b{_IPV4}\b",
    "mac_address": r"\b[0-9A-Fa-f]{2}(?:[:\-][0-9A-Fa-f]{2}){5}\b",
    "ssn": r"\b\d{3}-\d{2}-\d{4}\b|(?i:\b(?:ssn|social security(?: number| no\.?)?)[ :#]*\d{9}\b)",
    "npi": r"(?i:\bnpi(?: number| no\.?)?[ :#]*[12]\d{9}\b)",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card_number": r"\b(?:\d{4}[- ]?){3}\d{1,7}\b|\b3[47]\d{2}[- ]?\d{6}[- ]?\d{5}\b",
    "phone": (
        r"(?:\+\d{1,3}[ .\-]?)(?:\(\d{1,5}\)[ .\-]?)?\d(?:[ .\-/]?\d){6,11}\b"
        r"|(?:\b1[ .\-])?(?:\(\d{3}\) ?|\b\d{3}[.\-])\d{3}[.\-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,6})?\b"
        r"|\b0\d{2,4}[ /\-]\d{3,8}(?:[ \-]?\d{2,4})?\b|\b0[1-9](?:[ .]\d{2}){4}\b|\b06-?\d{8}\b|\(0?\d{2,5}\) ?\d{4,5}-?\d{3,4}\b"
        r"|\b[679]\d{2} \d{3} \d{3}\b|\b3\d{2} \d{6,7}\b"
        rf"|(?i:\b(?:{_PHONE_WORDS})\.?:? *\d{{8,12}}\b)"
    ),
    "mrn": r"(?i:\b(?:mrn|medical record(?: number| no\.?)?|chart(?: number| no\.?)?|patient id)[ :#]*"
    r"[A-Za-z]{0,4}-?\d{4,12}(?:-\d)?\b)",
    "date": (
        r"\b(?:1[89]|20)\d{2}-(?:0[1-9]|1[0-2])-(?:3[01]|[12]\d|0[1-9])(?:T\d{2}:\d{2}(?::\d{2})?Z?)?\b"
        r"|\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:3[01]|[12]\d|0[1-9])\b"
        r"|\b(?:3[01]|[12]\d|0?[1-9])[/.](?:3[01]|[12]\d|0?[1-9])[/.](?:(?:1[89]|20)\d{2}|\d{2})\b"
        rf"|\b(?i:{_MONTH} (?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?,? (?:1[89]|20)\d{{2}})\b"
        rf"|\b(?i:(?:3[01]|[12]\d|0?[1-9])\.? {_MONTH} (?:1[89]|20)\d{{2}})\b"
    ),
    "street_address": (
        rf"\b\d{{1,5}} (?:{_CAPITAL} ){{1,3}}(?:{_STREETS})\b\.?(?:,? (?:Apt|Suite|Unit|#)\.? ?\w+)?"
        rf"|\b\d{{1,4}}(?: ?bis| ?ter)?,? (?:rue|avenue|boulevard|bd|place|chemin|allée|impasse|quai|cours|route)(?: {_PART}){{1,6}}"
        rf"|\b(?:Calle|C/|Avenida|Avda\.?|Plaza|Paseo|Camino|Rúa|Rua|Travessa|Praça|Via|Viale|Piazza|Corso|Vicolo)"
        rf"(?: {_PART}){{1,6}},? \d{{1,5}}\b"
        r"|\b[A-ZÄÖÜ][\wäöüß\-]*(?:straße|strasse|str\.|weg|allee|platz|gasse|ring|damm|ufer|straat|laan|plein|gracht|kade|dijk|singel|steeg"
        r"|gatan|vägen|vej|gade) \d{1,4}[a-z]?\b"
        r"|\b[A-ZÄÖÜ][\wäöüß\-]+ (?:Straße|Strasse|Str\.|Weg|Allee|Platz|Ring|Damm|Ufer|Chaussee) \d{1,4}[a-z]?\b"
        r"|\b(?:Am|An der|Im|Auf dem|Zum|Zur) [A-ZÄÖÜ][\wäöüß\-]+ \d{1,4}[a-z]?\b"
        r"|\b[A-ZÄÖÜ][\wäöüß]+(?:-[A-ZÄÖÜ][\wäöüß]+)*-(?:Straße|Strasse|Weg|Allee|Platz|Ring) \d{1,4}[a-z]?\b"
    ),
    "person_name": (
        r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Hr|Fr|Mme|M|Mlle|Monsieur|Madame|Señor|Señora|Sr|Sra|Signor|Signora|Sig|Dott|Dra|Sen|Rev"
        r"|mevrouw|meneer|mevr|dhr|mw|Mevrouw|Meneer|Herrn|Senhor|Senhora|Doña|Don)"
        rf"\.? +(?:(?:Dr|Prof|med)\.? +)*(?:(?:van|von|de|der|den|te|ten|ter|la|da|di|del) +){{0,2}}"
        rf"[A-ZÀ-ÖØ-Þ]{_NAME}+(?: (?:van |von |de |der |da |di )?[A-ZÀ-ÖØ-Þ]{_NAME}+){{0,2}}"
    ),
}


def sql_regex(entity_type: str) -> str:
    """The form of an entity inside running text, for `regexp_replace` of DuckDB or Spark.

    Raises:
        KeyError: there is no such form; `TEXT` lists them.
    """
    return TEXT[entity_type]
