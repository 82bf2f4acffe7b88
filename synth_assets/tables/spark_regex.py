"""Regular expressions of RE2, which Arrow and DuckDB run, in the dialect of Java, which Spark runs.

What belongs here: the differences between the two that decide which texts match. What does not: patterns.
"""

from __future__ import annotations

import re

# of RE2 and of Java without UNICODE_CHARACTER_CLASS: \d and \w are ASCII in both; \s of Java has one character more
_BLANK = r"\t\n\f\r "
# edges of words are ASCII in any letter case: without (?-iu:) the long s and the Kelvin sign would be letters of them
_EDGE = r"(?-iu:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"
_NO_EDGE = r"(?-iu:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))"
_OUTSIDE = {"\\b": _EDGE, "\\B": _NO_EDGE, "\\s": f"[{_BLANK}]", "\\S": f"[^{_BLANK}]", "\\z": r"\z"}
_INSIDE = {"\\s": _BLANK}
_PIECE = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)|\\x\{[0-9A-Fa-f]+\}|\\.|\[\^?\]?|\]|\(\?[a-zA-Z]+[:)]|.", re.DOTALL)


def java_pattern(pattern: str) -> str:
    r"""The same pattern for `java.util.regex`: the same texts match, with the same groups.

    `.` stops at a newline only, `$` and `^` are the ends of the text, `\b` and `\s` know ASCII alone, `(?i)` folds all of Unicode.

    Args:
        pattern: Syntax of RE2, without look-around (RE2 has none).

    Source:
        https://github.com/google/re2/wiki/Syntax; java.util.regex.Pattern of Java 17.
    """
    made, inside = ["(?d)"], False
    for piece in _PIECE.findall(pattern):
        if not inside and piece[0] == "[":
            inside = True
            made.append(piece.replace("]", r"\]"))
        elif inside and piece == "]":
            inside = False
            made.append(piece)
        elif inside:
            made.append(_INSIDE.get(piece, rf"\{piece}" if piece in {"[", "&", "[^"} else piece))
        else:
            made.append(_outside(piece))
    return "".join(made)


def _outside(piece: str) -> str:
    if piece == "$":
        return r"\z"
    if piece.startswith("(?") and "i" in piece and not piece.startswith(("(?P", "(?:", "(?<")):
        return piece.replace("i", "iu")
    return _OUTSIDE.get(piece, piece)


def java_replacement(replacement: str) -> str:
    r"""A replacement of RE2 (`\1`) as one of Java (`$1`, with `$` escaped)."""
    return re.sub(r"\\(\d)|\$", lambda found: f"${found[1]}" if found[1] else r"\$", replacement)
