"""Shipped word lists, read once: names, places, languages, categories, words of jobs, diagnoses, firms and streets.

What belongs here: reading and normalising. The lists lie in data/, with their sources and licences in data/README.md.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "data"
_NOT_WORD = re.compile(r"[^a-z0-9]+")


@cache
def read_data(file_name: str) -> tuple[str, ...]:
    """Lines of one data file without comments and blank lines."""
    text = (_FOLDER / file_name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def word_list(name: str) -> frozenset[str]:
    """One list, normalised as `normalise` does.

    Args:
        name: File name in data/ without its suffix, such as "first_names".
    """
    return frozenset(read_data(f"{name}.txt"))


def normalise(text: str) -> str:
    """Lower case, no accents, every run of other characters one blank; the form in which the lists are kept."""
    from synth_assets.pii.names import fold

    return _NOT_WORD.sub(" ", fold(text)).strip()


def word_set(*lines: str) -> frozenset[str]:
    """Words of a short list written in code."""
    return frozenset(word for line in lines for word in line.split())
