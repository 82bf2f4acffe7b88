"""The client before Dagster's own webserver: every request arrives as it was made, and a refusal says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from pydantic import BaseModel, ConfigDict

from synth_assets.api.requests import TABLES
from synth_assets.automation.exchanged import service_key
from synth_assets.client import Client
from synth_assets.client.graphql import GraphQL
from synth_assets.client.jobs import Job
from synth_assets.config.load import load_model
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError
from synth_assets_tests import chain
from synth_assets_tests.assets.test_attribution import webserver
from synth_assets_tests.assets.test_automation import people_csv

JOBS = """import dagster as dg
from synth_assets.automation.jobs import file_jobs
from synth_assets.resources import StoreResource
defs = dg.Definitions(jobs=file_jobs(), resources={"store": StoreResource(home=".")})
"""
SMALL = 1e-06  # JSON writes no point, and YAML 1.1 reads a text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dg.DagsterInstance, Path]]:
    """A webserver whose runs wait in the queue."""
    home = tmp_path_factory.mktemp("home")
    with chain.standing_in(home):
        (home / "jobs.py").write_text(JOBS)
    people_csv(home / "data" / "people.csv")
    with webserver(home) as (url, instance):
        yield url, instance, home


def client_of(service: tuple[str, dg.DagsterInstance, Path]) -> Client:
    url, _, home = service
    public = service_key(Settings.from_environment(home)).public
    return Client(url, exchange=home / "var" / "exchange", service_key=public)


REQUESTS: dict[str, tuple[Callable[[Client, Path], Job], dict]] = {
    "synthesize_file": (
        lambda c, f: c.synthesize(f, population="patients", epsilon=1.0),
        {"epsilon": 1.0, "delta": SMALL, "population": "patients", "seed": 7},
    ),
    "mask_file": (lambda c, f: c.mask(f, policy="on"), {"policy": "on"}),
    "profile_file": (lambda c, f: c.profile(f), {}),
    "classify_file": (lambda c, f: c.classify(f), {}),
    "generate_tables": (
        lambda c, _: c.generate("1e3.yaml", rows=1000, seed=2**40),
        {"rows": 1000, "seed": 2**40, "table_schema": "1e3.yaml"},
    ),
    "audit_request": (
        lambda c, f: c.audit({TABLES[0]: f, "levels": {"membership": {"medium": SMALL, "high": 0.5}}}),
        {"levels": {"membership": {"medium": SMALL, "high": 0.5}}},
    ),
}


@pytest.mark.parametrize("job", REQUESTS)
def test_a_request_arrives_as_it_was_made(job: str, service: tuple[str, dg.DagsterInstance, Path]) -> None:
    ask, expected = REQUESTS[job]
    made = ask(client_of(service), service[2] / "data" / "people.csv")
    run = service[1].get_run_by_id(made.run_id)
    assert run is not None
    assert run.job_name == job
    assert run.run_config["ops"][f"{job}_op"]["config"].items() >= expected.items()


@pytest.mark.parametrize(
    ("config", "key", "told"),
    [
        ({"file": "a.csv", "fiel": "VALUE"}, "fiel", "does not know this key"),
        ({"file": "a.csv", "x1": 1, "x2": 2}, "x1", "does not know this key"),
        ({}, "file", "needs this key too"),
        ({"file": ["VALUE"]}, "file", "of another kind"),
    ],
)
def test_a_refused_request_names_the_key_and_the_reason_and_no_value(
    config: dict, key: str, told: str, service: tuple[str, dg.DagsterInstance, Path]
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        GraphQL(service[0], {}).launch("profile_file", {"ops": {"profile_file_op": {"config": config}}}, {})
    assert caught.value.key == key
    assert "VALUE" not in str(caught.value)


def test_a_schema_arrives_with_its_small_numbers_and_its_texts(
    monkeypatch: pytest.MonkeyPatch, service: tuple[str, dg.DagsterInstance, Path]
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(Client, "_send", lambda _, file, name: sent.append(read(file)) or f"exchange:r/{name}")
    schema = {"rate": SMALL, "codes": ["1e5", "1e-06", "no", "\u00e9"], "day": "2026-01-01"}
    client_of(service).generate(schema)
    assert sent == [schema]
    with pytest.raises(InputError, match="holds something that YAML cannot"):
        client_of(service).generate({"a": object()})


def read(file: Path) -> object:
    """As a service reads it."""
    return load_model(file, AnyKeys).model_dump()


class AnyKeys(BaseModel):
    """Any keys."""

    model_config = ConfigDict(extra="allow")
