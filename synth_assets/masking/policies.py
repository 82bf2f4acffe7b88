"""Reading a policy by name: the user's own folder first, then the ones the package ships."""

from __future__ import annotations

from pathlib import Path

import synth_assets.config
from synth_assets.config.load import load_model
from synth_assets.config.policy import PolicyConfig
from synth_assets.errors import ConfigError
from synth_assets.pii.taxonomy import entity_types

SHIPPED = Path(synth_assets.config.__file__).parent / "policies"


def load_policy(name_or_path: str | Path, configs_dir: Path | None = None) -> PolicyConfig:
    """Load a masking policy.

    Args:
        name_or_path: Name of a policy, or path of a YAML file (recognised by its suffix).
        configs_dir: The project's `configs` folder; `policies/NAME.yaml` in it wins over a shipped policy.

    Returns:
        The policy, its entity types checked against the taxonomy.

    Raises:
        ConfigError: there is no such policy, the file does not fit the model, or it names an unknown entity type.
    """
    path = _find(str(name_or_path), configs_dir)
    policy = load_model(path, PolicyConfig)
    unknown = sorted(set(policy.entity_types) - set(entity_types()))
    if unknown:
        raise ConfigError(
            "this entity type is not known.",
            file=str(path),
            key=f"entity_types.{unknown[0]}",
            remedy="`synth_assets.pii.taxonomy.entity_types()` lists them.",
        )
    return policy


def policy_names(configs_dir: Path | None = None) -> tuple[str, ...]:
    """Names of all policies that can be loaded by name, sorted."""
    folders = [SHIPPED] + ([configs_dir / "policies"] if configs_dir else [])
    return tuple(sorted({p.stem for folder in folders if folder.is_dir() for p in folder.glob("*.yaml")}))


def _find(name: str, configs_dir: Path | None) -> Path:
    if Path(name).suffix in {".yaml", ".yml"}:
        return Path(name)
    places = ([configs_dir / "policies"] if configs_dir else []) + [SHIPPED]
    for folder in places:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    known = ", ".join(policy_names(configs_dir))
    raise ConfigError(
        f"there is no policy {name!r}.",
        key="policy",
        remedy=f"Known policies: {known}; or give the path of a YAML file.",
    )
