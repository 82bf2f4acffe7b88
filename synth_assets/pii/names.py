"""Reading the name of a column or table: words, in six languages and many abbreviations, as concepts.

What belongs here: splitting (snake, camel, glued words) and the vocabulary. What does not: what a concept says about the
entity type (headers.py). Names of columns are no values; evidence may quote them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from synth_assets.pii.dictionaries import read_data, word_set

_SPECIAL = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_OPAQUE = re.compile(
    r"(c|col|column|field|f|v|var|x|attr|feature|unnamed|spalte|campo|champ|colonne|colonna|coluna)?[ _:.\-]*\d*",
    re.IGNORECASE,
)
_SHORT_ENDS = frozenset({"id", "no", "nr", "cd", "dt", "nm", "dx", "ip", "ts", "num", "key"})
_SHORT_GLUED = word_set("emp cust pat dob ssn zip tel sex fax num day mem usr ip aba of de di da do du del org")
_NO_KEYS = word_set(
    "valid invalid covid rapid fluid liquid solid hybrid grid avoid acid lipid steroid thyroid asteroid android candid squid ",
    "arachnoid ",
    "orchid prepaid unpaid repaid opioid morbid humid timid vivid stupid splendid amid pyramid bifid paid",
)
_STOP = frozenset({"stop", "place_kind"})


@dataclass(frozen=True)
class Header:
    """A name, read.

    Attributes:
        text: The name as it stands.
        words: Its words in order, lower case, without accents.
        concepts: What each word stands for; an unknown word has none.
        opaque: The name says nothing by construction (col1, field_7, x).
    """

    text: str
    words: tuple[str, ...]
    concepts: tuple[frozenset[str], ...]
    opaque: bool

    @property
    def all(self) -> frozenset[str]:
        """All concepts of the name."""
        return frozenset().union(*self.concepts) - _STOP

    @property
    def known(self) -> bool:
        """Whether at least one word is in the vocabulary."""
        return bool(self.all)

    @property
    def unknown_words(self) -> int:
        """Number of words outside the vocabulary, digits left out."""
        return sum(not c and not w.isdigit() for w, c in zip(self.words, self.concepts, strict=True))


def fold(text: str) -> str:
    """Lower case without accents; letters that do not decompose (ß, ø, ł) are spelled out."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPECIAL))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


@cache
def vocabulary() -> dict[str, frozenset[str]]:
    """Word -> concepts, from data/header_words.txt."""
    found: dict[str, set[str]] = {}
    for line in read_data("header_words.txt"):
        concepts, _, words = line.partition(":")
        for word in words.split():
            found.setdefault(word, set()).update(concepts.split())
    return {word: frozenset(concepts) for word, concepts in found.items()}


@lru_cache(maxsize=4096)
def read_header(text: str) -> Header:
    """Split a name into words and look each one up.

    Whole chunks first ("LastName" is one entry), then camel case, then glued words ("dateofhire") by the fewest known pieces.
    """
    words: list[str] = []
    for chunk in re.split(r"[^0-9A-Za-zÀ-ɏ]+", text):
        if chunk:
            words += _chunk_words(chunk)
    return Header(text, tuple(words), tuple(meaning(w) for w in words), opaque=bool(_OPAQUE.fullmatch(text.strip())))


@lru_cache(maxsize=4096)
def meaning(word: str) -> frozenset[str]:
    """Concepts of a word; of a shortened one (nacionalid, rlgn) those of the known words it can stand for, where all of them agree."""
    known = vocabulary()
    if word in known or len(word) < 4 or not word.isalpha():
        return known.get(word, frozenset())
    meant = {known[full] for full in _full_words(word)}
    return meant.pop() if len(meant) == 1 else frozenset()


def _full_words(word: str) -> list[str]:
    """Known words that begin with a word of five letters or more, or that keep their consonants in it and lose vowels."""
    begun = [v for v in vocabulary() if v.startswith(word)] if len(word) >= 5 else []
    if begun and (len(word) >= 8 or len(word) > 0.6 * min(map(len, begun))):
        return begun
    return [
        v
        for v in _by_consonants().get(_consonants(word), ())
        if v[0] == word[0] and len(v) > len(word) and _inside(word, v)
    ]


@cache
def _by_consonants() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in vocabulary():
        skeleton = _consonants(word)
        if len(word) >= 6 and len(skeleton) >= 4:
            found.setdefault(skeleton, []).append(word)
    return found


def _consonants(word: str) -> str:
    return re.sub(r"[aeiouy]", "", word)


def _inside(short: str, word: str) -> bool:
    """Whether the letters of a shortened word stand in the whole one in the same order."""
    letters = iter(word)
    return all(c in letters for c in short)


def _chunk_words(chunk: str) -> list[str]:
    known = vocabulary()
    whole = fold(chunk)
    for spelling in (whole, whole.replace("ae", "a").replace("oe", "o").replace("ue", "u")):
        if spelling in known:
            return [spelling]
    accents_kept = unicodedata.normalize("NFKD", chunk.translate(_SPECIAL))
    plain = "".join(c for c in accents_kept if not unicodedata.combining(c))
    words: list[str] = []
    for piece in _CAMEL.findall(plain):
        word = piece.lower()
        words += [word] if word in known or word.isdigit() else _split_glued(word)
    return words


def _may_be_glued(piece: str, before: list[str]) -> bool:
    """Short pieces are found everywhere ("dosage" holds an age); only these count, and an age only after a longer word."""
    if piece == "age":
        return bool(before) and len(before[-1]) >= 4
    if len(piece) >= 4 or piece in _SHORT_GLUED:
        return True
    return bool(before) and piece in _SHORT_ENDS


def _split_glued(word: str) -> list[str]:
    """The fewest known words that cover a glued one; the word itself where none do, and where it is the longer part of a known one."""
    known = vocabulary()
    if len(word) >= 8 and meaning(word):
        return [word]
    best: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(2, len(word) + 1):
        for start in range(max(0, end - 18), end - 1):
            head = best[start]
            piece = word[start:end]
            if head is None or piece not in known or not _may_be_glued(piece, head):
                continue
            current = best[end]
            if current is None or len(head) + 1 < len(current):
                best[end] = [*head, piece]
    found = best[len(word)]
    if found:
        return found
    if word.endswith("s") and word[:-1] in known:
        return [word[:-1]]
    if len(word) >= 5 and word.endswith("id") and word not in _NO_KEYS:
        return [word[:-2], "id"]
    return [word]
