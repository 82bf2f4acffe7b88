"""Commands that look: `datasets`, `models` and `runs`, each with `list` and `show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, facts, line, show, table
from synth_assets.config.runtime import LoadedDataset, Settings, load_datasets
from synth_assets.errors import InputError, SynthAssetsError

if TYPE_CHECKING:
    import dagster as dg

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset or an upload.")]
UploadsOption = Annotated[bool, typer.Option("--uploads", help="Those of dropped files, by the names of the uploads.")]
SHORT = 8


def datasets_list(uploads: UploadsOption = False, home: HomeOption = None, as_json: JsonOption = False) -> int:
    """List the datasets of this home and their last runs, or those of its uploads."""
    from synth_assets.automation.history import runs_of
    from synth_assets.automation.uploaded import uploads_of

    with _opened(home) as (instance, _, loaded):
        dropped = uploads_of(_settings(home), instance)
        last = {name: r for r in reversed(runs_of(instance, None, 10_000)) for name in (r.dataset, r.upload) if name}
    if uploads:
        return _list_uploads(dropped, last, as_json=as_json)
    told: list[dict[str, Any]] = [
        {
            "name": d.config.name,
            "tables": len(d.config.tables),
            "synthesizers": [s.name for s in d.config.synthesizers],
            "policy": str(d.config.policy),
            "last_run": None if d.config.name not in last else last[d.config.name].__dict__,
            "file": str(d.file),
        }
        for d in loaded
    ]
    if as_json:
        emit_json(told)
        return 0
    rows = [[t["name"], t["tables"], ", ".join(t["synthesizers"]), t["policy"], *_last(t["last_run"])] for t in told]
    show(table("Datasets", ["name", "tables", "synthesizers", "policy", "last run (UTC)", "state"], rows), "")
    if dropped:
        show(f"Uploads: {len(dropped):,}. --uploads lists them.")
    return 0


def _list_uploads(uploads: Sequence[str], last: Mapping[str, Any], *, as_json: bool) -> int:
    """Uploads by their own names; a name of a dropped file may tell of a person."""
    told: list[dict[str, Any]] = [
        {"name": name, "last_run": None if name not in last else last[name].__dict__} for name in uploads
    ]
    if as_json:
        emit_json(told)
        return 0
    show(table("Uploads", ["name", "last run (UTC)", "state"], [[t["name"], *_last(t["last_run"])] for t in told]), "")
    return 0


def datasets_show(dataset: DatasetArgument, home: HomeOption = None, as_json: JsonOption = False) -> int:
    """Show the assets of a dataset: when each was made, by which run, with how many rows."""
    from synth_assets.automation.history import assets_of

    with _opened(home, dataset) as (instance, defs, _):
        found = assets_of(instance, defs, dataset)
    if as_json:
        emit_json([a.__dict__ for a in found])
        return 0
    rows = [[a.name, a.stage, a.zone, a.made_at or "-", a.rows, (a.run_id or "-")[:SHORT]] for a in found]
    show(table(f"Dataset {dataset}", ["asset", "stage", "zone", "made at (UTC)", "rows", "run"], rows), "")
    return 0


def models_list(uploads: UploadsOption = False, home: HomeOption = None, as_json: JsonOption = False) -> int:
    """List the trained models with their epsilon and their scores."""
    from synth_assets.automation.history import models_of
    from synth_assets.automation.uploaded import as_datasets, uploads_of

    with _opened(home) as (instance, defs, loaded):
        settings = _settings(home)
        listed = as_datasets(settings, uploads_of(settings, instance)) if uploads else loaded
        found = models_of(instance, defs, listed)
    if as_json:
        emit_json(found)
        return 0
    figures = ("epsilon_spent", "privacy_score", "fidelity_score", "utility_score")
    rows = [
        [m["name"], "yes" if m["private"] else "no", m["made_at"] or "-", *(m.get(f) for f in figures)] for m in found
    ]
    show(table("Models", ["name", "private", "made at (UTC)", "epsilon", "privacy", "fidelity", "utility"], rows), "")
    return 0


def models_show(
    model: Annotated[str, typer.Argument(metavar="DATASET/SYNTHESIZER", help="Name of a model, as in the list.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show one model: where it lies, what it cost, how its tables were judged."""
    from synth_assets.automation.history import models_of

    with _opened(home, model.partition("/")[0]) as (instance, defs, loaded):
        found = {m["name"]: m for m in models_of(instance, defs, loaded)}
    if model not in found:
        known = ", ".join(found)
        raise InputError(f"there is no model {model!r}.", key="DATASET/SYNTHESIZER", remedy=f"Models: {known}.")
    if as_json:
        emit_json(found[model])
        return 0
    show(
        facts(
            f"Model {model}",
            [(k.replace("_", " "), v) for k, v in found[model].items() if v is not None and k != "name"],
        )
    )
    return 0


def runs_list(
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="Runs of this dataset or upload only.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="How many of the newest.", min=1)] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the newest runs, of the command line and of the service."""
    from synth_assets.automation.history import runs_of

    with _opened(home) as (instance, _, _loaded):
        found = runs_of(instance, dataset, limit)
    if as_json:
        emit_json([r.__dict__ for r in found])
        return 0
    rows = [
        [r.run_id[:SHORT], r.upload or r.dataset or r.job, r.status, r.started_at or "-", r.seconds, r.origin]
        for r in found
    ]
    show(table("Runs", ["run", "dataset, upload or job", "state", "started (UTC)", "seconds", "from"], rows), "")
    return 0


def runs_show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its first signs.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show one run: what it made, which checks did not pass, why it failed."""
    from synth_assets.automation.history import run_of

    with _opened(home) as (instance, _, _loaded):
        found = run_of(instance, run)
    if as_json:
        emit_json(found)
        return 0
    show(facts("Run", [(k.replace("_", " "), v) for k, v in found.items() if isinstance(v, str | int | float)]), "")
    if found["assets"]:
        show(table("Assets", ["asset", "rows"], [[a["name"], a["rows"]] for a in found["assets"]]), "")
    for check in found["failed_checks"]:
        word, style = ("blocked", "bold red") if check["blocking"] else ("warning", "yellow")
        line(word, f"{check['name']}: {check['description']}", style=style)
    if found["error"] is not None:
        fields = ("file", "row", "column", "key", "remedy")
        error = SynthAssetsError(found["error"]["message"], **{name: found["error"].get(name) for name in fields})
        line("error", str(error), style="bold red")
    return 0


@contextmanager
def _opened(
    home: Path | None, dataset: str | None = None
) -> Iterator[tuple[dg.DagsterInstance, dg.Definitions, Sequence[LoadedDataset]]]:
    """The history of a home, its definitions and its datasets.

    Raises:
        InputError: there is no such home, or no such dataset in it.
    """
    base = nearest_home(home)
    if not (base / "dagster.yaml").is_file():
        raise InputError("nothing has run in this home yet.", file=str(base), remedy="Name another one with --home.")
    settings = Settings.from_environment(base)
    loaded = load_datasets(settings)
    from synth_assets.automation.opening import open_instance
    from synth_assets.automation.runner import prepare_home
    from synth_assets.automation.uploaded import as_datasets, uploads_of
    from synth_assets.definitions import build_defs

    prepare_home(base)
    with open_instance() as instance:
        if dataset is not None and dataset in uploads_of(settings, instance):
            yield instance, build_defs(settings, datasets=()), as_datasets(settings, [dataset])
            return
        if dataset is not None:
            known = ", ".join(d.config.name for d in loaded) or "none"
            loaded = tuple(d for d in loaded if d.config.name == dataset)
            if not loaded:
                raise InputError(f"there is no dataset {dataset!r}.", key="DATASET", remedy=f"Datasets: {known}.")
        yield instance, build_defs(settings, datasets=loaded), loaded


def _settings(home: Path | None) -> Settings:
    return Settings.from_environment(nearest_home(home))


def _last(run: dict[str, Any] | None) -> list[str]:
    return ["-", "-"] if run is None else [run["started_at"] or "-", run["status"]]


GROUPS: dict[str, tuple[str, dict[str, Callable[..., int]]]] = {
    "datasets": ("List or show the datasets of this home.", {"list": datasets_list, "show": datasets_show}),
    "models": ("List or show trained models.", {"list": models_list, "show": models_show}),
    "runs": ("List or show runs.", {"list": runs_list, "show": runs_show}),
}
