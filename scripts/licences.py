"""Writes the table of docs/licences.md: the direct dependencies with their licences, as the installed packages state them.

Run `python scripts/licences.py` after a change of the dependencies; a test compares the table with pyproject.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
START, END = "<!-- table: scripts/licences.py -->", "<!-- end -->"
STATED = {"gcsfs": "BSD-3-Clause", "adlfs": "BSD-3-Clause"}  # of extras that `make setup` does not install
LONG_TEXT = 60


def direct() -> Iterator[tuple[str, str]]:
    """Name and group of every direct dependency of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    for group, requirements in groups.items():
        for requirement in requirements:
            yield re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0], f"extra `{group}`" if group else "runtime"


def licence_of(name: str) -> str:
    """The licence that an installed package states: its SPDX expression, its classifiers, or the first line of its licence field."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return STATED.get(name, "not installed")
    if expression := found.get("License-Expression"):
        return str(expression)
    classifiers = [c.split(" :: ")[-1] for c in found.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [c for c in classifiers if c not in {"OSI Approved", "Other/Proprietary License"}]
    text = (found.get("License") or "").strip().splitlines()[:1]
    if text and len(text[0]) <= LONG_TEXT:
        return text[0]
    return ", ".join(named) or "not stated"


def table() -> str:
    """The table in Markdown."""
    rows = [
        f"| {name} | {licence_of(name)} | {group} |" for name, group in sorted(direct(), key=lambda d: d[0].lower())
    ]
    return "\n".join(["| package | licence | needed by |", "|---|---|---|", *rows])


def main() -> None:
    """Write the table between its marks."""
    before, rest = PAGE.read_text().split(START)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{START}\n{table()}\n{END}{after}")
    print(f"{PAGE}: {sum(1 for _ in direct())} direct dependencies")


if __name__ == "__main__":
    main()
