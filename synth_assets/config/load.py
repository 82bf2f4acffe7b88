"""YAML to model. Every error names file, line and key, and never quotes a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from synth_assets.config.dataset import DatasetConfig
from synth_assets.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
MAX_CONFIG_BYTES = 5_000_000


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys, which YAML would drop silently."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        """Say where a day stands that no calendar has; PyYAML raises a bare ValueError."""
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            raise yaml.MarkedYAMLError(problem="there is no such day or time", problem_mark=node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def load_dataset(path: Path) -> DatasetConfig:
    """Load `configs/datasets/<name>.yaml`.

    A `domain:` file is merged into the columns of the only table; what the YAML says about a column wins.

    Raises:
        ConfigError: the file is missing, is no YAML, or does not fit the model.
    """
    config = load_model(path, DatasetConfig)
    return config if config.domain is None else _with_domain(config, path)


def _with_domain(config: DatasetConfig, path: Path) -> DatasetConfig:
    from synth_assets.config.domain import load_domain

    if len(config.tables) != 1:
        raise ConfigError(
            "a domain file describes one table, this dataset has several.",
            file=str(path),
            key="domain",
            remedy="Use `columns:` per table.",
        )
    domain = load_domain(path.parent / str(config.domain))
    name, table = next(iter(config.tables.items()))
    columns = dict(domain.columns)
    for column, own in table.columns.items():
        declared = columns.get(column)
        said = {key: getattr(own, key) for key in own.model_fields_set}
        columns[column] = own if declared is None else declared.model_copy(update=said)
    impossible = (*table.impossible, *(c for c in domain.impossible if c not in table.impossible))
    merged = table.model_copy(update={"columns": columns, "impossible": impossible})
    return config.model_copy(update={"tables": {name: merged}, "target": config.target or domain.target})


def load_model(path: Path, model: type[Model]) -> Model:
    """Load one YAML (or JSON) file into a model.

    Raises:
        ConfigError: with file, line, dotted key and what to do.
    """
    node = compose(path)
    data = _construct(path, node)
    if not isinstance(data, dict):
        raise ConfigError("the file holds no mapping of keys to values.", file=str(path), row=1)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _config_error(path, node, error, model) from None


def top_level_keys(path: Path) -> frozenset[str]:
    """Keys at the top of a YAML file, which tell what kind of file it is; none where it holds no mapping.

    Raises:
        ConfigError: the file is missing or no YAML.
    """
    node = compose(path)
    return frozenset(str(key.value) for key, _ in node.value) if isinstance(node, yaml.MappingNode) else frozenset()


def compose(path: Path) -> yaml.Node:
    """The YAML node tree of a file, which knows the line of each key."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"the file is larger than {MAX_CONFIG_BYTES} bytes; a configuration is not.", file=str(path)
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "the file does not exist.", file=str(path), remedy="`synth-assets init FILE` drafts one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read ({type(error).__name__}).", file=str(path)) from None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _yaml_error(path, error) from None
    if node is None:
        raise ConfigError("the file is empty.", file=str(path), remedy="`synth-assets init FILE` drafts one.")
    return node


def _construct(path: Path, node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _yaml_error(path, error) from None
    finally:
        loader.dispose()


def _yaml_error(path: Path, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not valid YAML"
    return ConfigError(f"the file is not valid YAML: {problem}.", file=str(path), row=mark.line + 1 if mark else None)


def _config_error(path: Path, node: yaml.Node, error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """The first problem in words, with its line; the number of the others."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    first = problems[0]
    location = tuple(part for part in first["loc"] if part not in {"function-before", "function-after"})
    message = str(first["msg"]).removeprefix("Value error, ")
    remedy = None
    if first["type"] == "extra_forbidden":
        message, remedy = "this key is not known.", _known_keys(model, location)
    elif first["type"] == "missing":
        message = "this key is missing."
    more = f" ({len(problems) - 1} more problems in this file.)" if len(problems) > 1 else ""
    key = ".".join(str(p) for p in location) or None
    return ConfigError(
        message.rstrip(".") + "." + more, file=str(path), row=line_of(node, location), key=key, remedy=remedy
    )


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Near matches of an unknown top-level key, else all the keys."""
    import difflib

    known = list(model.model_fields)
    if len(location) != 1:
        return "Check its spelling against docs/configuration.md."
    near = difflib.get_close_matches(str(location[0]), known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(known)}."


def line_of(node: yaml.Node, location: tuple[Any, ...]) -> int:
    """1-based line of the deepest part of `location` that stands in the file."""
    line = node.start_mark.line + 1
    for part in location:
        child = None
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.value == str(part):
                    child, line = value_node, key_node.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            continue
        node = child
    return line
