"""What the documentation says is there: commands and options, make targets, links, pictures, variables, licences."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "configs" / "policies" / "README.md"])
COMMAND = re.compile(r"(?:^|[\s`(])(?:\.venv/bin/)?synth-assets((?: +[^`\n|;&]+)?)", flags=re.MULTILINE)
PLACEHOLDER = re.compile(r"[A-Z]{2,}[A-Z0-9_.a-z]*|<.*>|\.\.\.")
MAX_PICTURE_BYTES = 300_000


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    import typer

    from synth_assets.cli.app import app

    return typer.main.get_command(app).commands  # type: ignore[attr-defined, no-any-return]


def quoted_commands(text: str) -> list[str]:
    """Command lines in code: indented or fenced blocks, and code spans."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"^(?: {4}|\t)(.+)$", text, flags=re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", text)
    found = [m.strip() for part in [*blocks, *spans] for m in COMMAND.findall(part)]
    return [re.split(r" (?:#|>|\|) ?", c)[0].strip() for c in found if c]


def fault(line: str, commands: dict[str, Any]) -> str | None:
    """What does not fit in a command line; None where all does."""
    words = shlex.split(re.sub(r"[\[\]]", "", line).replace("...", " "))
    if not words or words[0].startswith("-") or PLACEHOLDER.fullmatch(words[0]):
        return None  # synth-assets --help, synth-assets COMMAND
    if words[0] not in commands:
        return f"no command {words[0]!r}"
    below = getattr(commands[words[0]], "commands", None)
    if below is not None:  # a group, such as `privacy`
        return fault(shlex.join(words[1:]), below)
    options = {o: p for p in commands[words[0]].params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}
    options |= {"-h": None, "--help": None}
    arguments = [p for p in commands[words[0]].params if not any(o.startswith("-") for o in p.opts)]
    given, position = 0, 1
    while position < len(words):
        word, position = words[position], position + 1
        if not word.startswith("-"):
            given += 1
            continue
        name, _, value = word.partition("=")
        if name not in options:
            return f"{words[0]} has no option {name}"
        if options[name] is not None and not options[name].is_flag and not value:
            position += 1
    return f"{words[0]} takes {len(arguments)} arguments" if given > len(arguments) else None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_quoted_command_exists_with_its_options(page, commands):
    lines = quoted_commands(page.read_text())
    assert [f"{line}: {what}" for line in lines if (what := fault(line, commands))] == []


def test_the_readme_quotes_every_command(commands):
    quoted = {line.split()[0] for line in quoted_commands((ROOT / "README.md").read_text()) if line}
    assert set(commands) <= quoted


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("runn x.yaml", "no command"),
        ("run x.yaml --selekt raw", "no option --selekt"),
        ("run x.yaml y.yaml", "takes 1"),
        ("run x.yaml --select raw,profile", None),
        ("COMMAND --help", None),
    ],
)
def test_the_search_for_wrong_commands_finds_them(line, what, commands):
    found = fault(line, commands)
    assert found is None if what is None else what in str(found)


def test_the_search_for_commands_sees_blocks_and_spans():
    text = (
        "say `synth-assets budget` or\n\n```sh\n.venv/bin/synth-assets run a.yaml  # why\n```\n\n    synth-assets ui\n"
    )
    assert quoted_commands(text) == ["run a.yaml", "ui", "budget"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_make_target_exists(page):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
    assert named <= known


def links(text: str) -> list[str]:
    """Targets of links and pictures, outside code."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", plain))


def anchors(text: str) -> set[str]:
    """Anchors of headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_resolves(page):
    broken = []
    for target in links(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert broken == []


def test_every_page_is_on_the_map():
    index = ROOT / "docs" / "index.md"
    reached = {(index.parent / t.partition("#")[0]).resolve() for t in links(index.read_text())} | {index}
    assert [str(p) for p in PAGES if p.is_relative_to(ROOT / "docs") and p not in reached] == []


def test_pictures_are_small_and_shown():
    readme = (ROOT / "README.md").read_text()
    for name in ("graph.png", "report.png"):
        picture = ROOT / "docs" / "images" / name
        assert picture.stat().st_size <= MAX_PICTURE_BYTES
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"docs/images/{name}" in readme


def test_the_first_screen_says_what_it_is_what_it_does_not_promise_and_how_to_start():
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:25])
    for words in (
        "does not promise",
        "make demo",
        "make test",
        "make ui",
        "graph.png",
        "report.png",
        "MIT",
        "Business",
    ):
        assert words in first, words


def test_the_short_yaml_of_the_readme_is_a_whole_dataset():
    from synth_assets.config.dataset import DatasetConfig

    text = re.search(r"```yaml\n(name: people.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert text is not None
    found = DatasetConfig.model_validate(yaml.safe_load(text[1]))
    assert found.tables["people"].primary_key == ("person_id",)
    assert found.target == "readmitted"
    assert len(text[1].splitlines()) == 4


def test_variables_of_the_environment_are_documented_and_read():
    pattern = re.compile(r"SYNTH_ASSETS_[A-Z0-9_]*[A-Z0-9]")
    example = set(pattern.findall((ROOT / ".env.example").read_text()))
    told = (ROOT / "docs" / "operations.md").read_text().replace("`..._", "`SYNTH_ASSETS_S3_")
    assert example <= set(pattern.findall(told))
    code = "".join(p.read_text() for p in (ROOT / "synth_assets").rglob("*.py"))
    read = set(pattern.findall(code))
    unread = {name for name in example - read if not name.startswith("SYNTH_ASSETS_S3_")}  # zones are put together
    assert unread == set()
    assert read - {"SYNTH_ASSETS_S3"} <= example


def test_the_levels_of_the_page_are_those_of_the_code():
    from synth_assets.privacy.levels import LEVELS

    text = (ROOT / "docs" / "privacy.md").read_text()
    for level in LEVELS:
        upper = "and more" if level.upper == float("inf") else f"up to {level.upper:g}"
        assert f"| {level.name} | {level.lower:g} {upper} |" in text


def test_the_table_of_what_an_attacker_can_know_is_computed():
    import math

    text = (ROOT / "docs" / "privacy.md").read_text()
    row = re.search(r"\| epsilon \|(.+)\|\n\|[-|]+\|\n\| at most \|(.+)\|", text)
    assert row is not None
    for epsilon, shown in zip(row[1].split("|"), row[2].split("|"), strict=True):
        sure = 100 / (1 + math.exp(-float(epsilon)))
        figure = float(shown.replace("%", ""))
        assert sure <= figure <= sure + 1, epsilon


def _licences() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_licences_names_every_direct_dependency():
    script = _licences()
    text = (ROOT / "docs" / "licences.md").read_text()
    for name, group in script.direct():
        assert re.search(rf"^\| {re.escape(name)} \| [^|]+ \| {re.escape(group)} \|$", text, flags=re.MULTILINE), name


def closure(names: list[str]) -> set[str]:
    """Installed packages that these need, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            metadata(name)
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.split(r"[\s\[<>=!~;(]", r, maxsplit=1)[0] for r in requires(name) or [] if "extra ==" not in r]
    return found


def test_no_dependency_is_under_the_agpl_and_sdv_alone_brings_the_busl():
    script = _licences()
    direct = list(script.direct())
    every = {name: script.licence_of(name) for name in closure([name for name, _ in direct])}
    assert len(every) > 60  # the closure is not empty
    assert [n for n, text in every.items() if "AGPL" in text.upper() or "AFFERO" in text.upper()] == []
    runtime = closure([name for name, group in direct if group == "runtime"])
    assert [n for n in runtime if "BUSL" in every[n] or "BUSINESS" in every[n].upper()] == []
    assert "BUSL" in every["sdv"]


def test_attributions_that_licences_ask_for_are_in_the_notice():
    notice = (ROOT / "NOTICE").read_text()
    for words in ("GeoNames", "Creative Commons Attribution 4.0", "Unicode", "Daniele Faraglia"):
        assert words in notice
    assert "NOTICE" in (ROOT / "pyproject.toml").read_text()


def test_the_picture_script_says_what_is_missing(tmp_path):
    script = [
        sys.executable,
        str(ROOT / "scripts" / "screenshots.py"),
        "--home",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    bare = subprocess.run(script, check=False, capture_output=True, text=True, cwd=ROOT, env={"PATH": "/nowhere"})
    assert bare.returncode == 1
    assert "there is no Chromium" in bare.stderr
    fake = tmp_path / "bin" / "chromium"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    empty = subprocess.run(
        script, check=False, capture_output=True, text=True, cwd=ROOT, env={"PATH": str(fake.parent)}
    )
    assert empty.returncode == 1
    assert "Run: make demo" in empty.stderr
    assert "Traceback" not in bare.stderr + empty.stderr
    assert not (tmp_path / "out").exists()
