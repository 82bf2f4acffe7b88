"""The references name every command, option and key, with the default that the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from synth_assets.api.schemas import file_name, names, schema
from synth_assets.asset_keys import STAGES
from synth_assets.cli.app import app
from synth_assets.config import dataset as config
from synth_assets.config import sampling, thresholds
from synth_assets.config.anonymity import AnonymityConfig, HierarchyConfig, TableAnonymity
from synth_assets.config.budget import BudgetConfig
from synth_assets.config.deliveries import DeliveryConfig
from synth_assets.config.domain import Domain
from synth_assets.config.gates import ThresholdConfig
from synth_assets.config.policy import PolicyConfig
from synth_assets.config.rules import Rule
from synth_assets.config.sweep import SweepConfig
from synth_assets.config.uploads import UploadsConfig

DOCS = Path(__file__).resolve().parents[3] / "docs"
GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {}
for _name, _command in GROUP.commands.items():
    below = getattr(_command, "commands", None)  # a group, such as `privacy`
    COMMANDS |= {_name: _command} if below is None else {f"{_name} {n}": c for n, c in below.items()}


def row(parameter: Any) -> str:
    """The line of one argument or option."""
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"| {names} | {parameter.help}{f' Default: `{default}`.' if plain else ''} |"


def section(name: str, more: str = "") -> str:
    """The section of one command, with its prose."""
    command = COMMANDS[name]
    rows = "\n".join(row(p) for p in command.params if p.name != "help")
    prose = f"{more}\n\n" if more else ""
    return f"## {name}\n\n{command.help}\n\n{prose}| argument | meaning |\n|---|---|\n{rows}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_reference_has_every_command_and_option(name: str) -> None:
    text = (DOCS / "cli.md").read_text()
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section {name}"
    command = COMMANDS[name]
    assert command.help in found[1]
    rows = {line for line in found[1].splitlines() if line.startswith("| `")}
    assert rows == {row(p) for p in command.params if p.name != "help"}


def test_the_reference_has_no_other_command() -> None:
    text = (DOCS / "cli.md").read_text()
    assert set(re.findall(r"^## ([a-z]+(?: [a-z]+)?)$", text, re.MULTILINE)) == set(COMMANDS)
    assert all(f"`{stage}`" in text for stage in STAGES)


SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("Dataset", config.DatasetConfig),
    ("Uploads", UploadsConfig),
    ("Budget", BudgetConfig),
    ("Table", config.TableConfig),
    ("Source", config.SourceConfig),
    ("Column", config.ColumnConfig),
    ("Expectation", config.ExpectationConfig),
    ("Synthesizer", config.SynthesizerConfig),
    ("Variant", sampling.VariantConfig),
    ("Class shares", sampling.BalanceConfig),
    ("Sweep", SweepConfig),
    ("Delivery", DeliveryConfig),
    ("Training", config.TrainingConfig),
    ("Audit", thresholds.AuditConfig),
    ("Levels", thresholds.AuditLevels),
    ("Weights", thresholds.AuditWeights),
    ("Limits", thresholds.AuditLimits),
    ("Thresholds", ThresholdConfig),
    ("Domain file", Domain),
    ("Anonymity of a table", TableAnonymity),
    ("Hierarchy", HierarchyConfig),
    ("Policy", PolicyConfig),
    ("Anonymity of a policy", AnonymityConfig),
    ("Rule of a policy", Rule),
]


def default_of(field: Any) -> str | None:
    """How the reference writes a default; None where prose says it."""
    value = field.default_factory() if field.default_factory is not None else field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, tuple | dict) and not value:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, str) and value else None


@pytest.mark.parametrize(("title", "model"), SECTIONS, ids=[s[0] for s in SECTIONS])
def test_the_reference_has_every_key_with_its_default(title: str, model: type[BaseModel]) -> None:
    text = (DOCS / "configuration.md").read_text()
    found = re.search(rf"^## {title}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/configuration.md has no section {title}"
    rows = {
        r[1]: (r[2].strip(), r[3].strip())
        for r in re.finditer(r"^\| `(\w+)` \| ([^|]*) \| (.*) \|$", found[1], re.MULTILINE)
    }
    assert list(rows) == list(model.model_fields)
    for name, field in model.model_fields.items():
        expected = default_of(field)
        assert expected is None or rows[name][0] == expected, (name, rows[name][0], expected)
        assert rows[name][1].endswith((".", "`")), name


def test_every_expectation_is_named() -> None:
    from synth_assets.tables.expectation_names import RUNNABLE

    text = (DOCS / "configuration.md").read_text()
    assert not [name for name in RUNNABLE if f"`{name.removeprefix('expect_')}`" not in text]


def test_every_environment_variable_is_listed() -> None:
    example = (DOCS.parent / ".env.example").read_text()
    source = "".join(p.read_text() for p in (DOCS.parent / "synth_assets").rglob("*.py"))
    for name in set(re.findall(r"\bSYNTH_ASSETS_[A-Z0-9_]+[A-Z0-9]\b", source)):
        assert name in example or name == "SYNTH_ASSETS_S3", name


def test_the_examples_of_the_reference_are_complete_files(tmp_path: Path) -> None:
    from synth_assets.config.load import load_model

    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS / "configuration.md").read_text(), re.MULTILINE | re.DOTALL)
    wholes = (
        config.DatasetConfig, config.DatasetConfig, config.DatasetConfig, thresholds.AuditConfig, Domain, PolicyConfig
    )  # fmt: skip
    for block, model in zip(blocks, wholes, strict=True):
        whole = block if not block.startswith("variants:") else blocks[0] + block  # a part of a file
        (tmp_path / "example.yaml").write_text(whole)
        load_model(tmp_path / "example.yaml", model)


@pytest.mark.parametrize("name", names())
def test_the_published_schema_is_what_the_code_says(name: str) -> None:
    file = f"schemas/{file_name(name)}"
    assert json.loads((DOCS / file).read_text()) == schema(name), f"run: synth-assets schema {name} > docs/{file}"
