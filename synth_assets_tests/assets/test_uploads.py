"""The sensor of the inbox and the chain of an upload, in this process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dagster as dg
import pytest

from synth_assets.automation.history import run_of, runs_of
from synth_assets.automation.watches import Looking, ended_runs, quarantines
from synth_assets.config.automation import AutomationConfig
from synth_assets.config.runtime import Settings
from synth_assets.resources import InboxResource, KeyResource, StoreResource
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.assets.test_automation import people_csv


class Ticks:
    """The sensor of a home, tick by tick, as the daemon keeps its cursor and adds its partitions."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.cursor, self.patch, self.now = home, None, monkeypatch, 1_000_000.0
        self.definitions = chain.definitions(home)

    def __call__(self, after: float = 6.0) -> dg.SensorResult:
        self.now += after
        self.patch.setattr("synth_assets.automation.inbox.time.time", lambda: self.now)
        home = str(self.home)
        given = {"store": StoreResource(home=home), "inbox": InboxResource(home=home), "key": KeyResource(home=home)}
        repository = self.definitions.get_repository_def()
        sensor = repository.get_sensor_def("inbox")
        with (
            chain.instance(self.home) as instance,
            dg.build_sensor_context(
                instance=instance, cursor=self.cursor, resources=given, repository_def=repository
            ) as context,
        ):
            found = sensor(context)
            assert isinstance(found, dg.SensorResult)
            assert not context.cursor_updated  # the daemon refuses a cursor that is given in two ways
            self.cursor = found.cursor or self.cursor
            for request in found.dynamic_partitions_requests or []:
                instance.add_dynamic_partitions("uploads", list(request.partition_keys))
        return found


@pytest.fixture
def ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    home = tmp_path / "home"
    (home / "configs").mkdir(parents=True)
    (home / "configs" / "uploads.yaml").write_text(
        "synthesizers: [{name: dp_marginals, epsilon: 3}]\nholdout: 0.4\nexports: [csv]\nthresholds: {privacy_risk: high}\n"
    )
    return Ticks(home, monkeypatch)


def run(home: Path, partition: str) -> dg.ExecuteInProcessResult:
    job = chain.definitions(home).resolve_job_def("uploads_chain")
    with chain.instance(home) as instance:
        return job.execute_in_process(instance=instance, partition_key=partition, raise_on_error=False)


def test_a_dropped_file_becomes_one_run_request_of_one_partition_after_two_looks(ticks: Ticks) -> None:
    people_csv(ticks.home / "inbox" / "Jane Roe.csv")
    first = ticks()
    assert not first.run_requests
    assert first.skip_reason.skip_message == "1 not complete yet"
    second = ticks()
    (request,) = second.run_requests
    assert request.partition_key.startswith("upload_")
    assert [list(r.partition_keys) for r in second.dynamic_partitions_requests] == [[request.partition_key]]
    assert "Jane" not in f"{request}{second.cursor}"
    third = ticks()
    assert not third.run_requests
    assert third.skip_reason.skip_message == "1 waiting for their run"


def test_the_sensor_is_on_and_says_that_it_spends(ticks: Ticks) -> None:
    sensor = ticks.definitions.get_repository_def().get_sensor_def("inbox")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.job_name == "uploads_chain"
    assert "spends" in (sensor.description or "")


def test_an_inbox_that_cannot_be_read_is_a_reason_to_skip_without_a_foreign_text(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[object]:
        raise RuntimeError("secret@example.org")

    monkeypatch.setattr("synth_assets.uploads.inbox.FolderInbox.entries", broken)
    found = ticks()
    assert not found.run_requests
    assert "withheld" in found.skip_reason.skip_message
    assert "secret" not in found.skip_reason.skip_message


def test_an_upload_runs_through_the_whole_chain_without_a_configuration_of_its_own(ticks: Ticks) -> None:
    people_csv(ticks.home / "inbox" / "Jane Roe.csv", rows=600)
    ticks()
    (request,) = ticks().run_requests
    upload = request.partition_key
    result = run(ticks.home, upload)
    assert result.success
    made = [e for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    assert {e.asset_key.path[0] for e in made} == {"uploads"}
    assert {e.partition for e in made} == {upload}
    names = {e.asset_key.path[1] for e in made}
    assert names >= {"raw_upload", "profile", "pii_classification", "masked_upload", "split", "model_dp_marginals"}
    assert names >= {"synthetic_dp_marginals_upload", "audit_dp_marginals", "report", "export_csv"}
    store = chain.store(ticks.home)
    report = store.path(store.current(Zone.RELEASE, upload, "report")) / "report.html"
    assert "Jane" not in report.read_text()
    spent = json.loads(
        (store.path(store.current(Zone.RELEASE, upload, "dp_measurements")) / "privacy.json").read_text()
    )
    assert spent["population"] == upload
    assert (ticks.home / "inbox" / "taken" / upload / "Jane Roe.csv").is_file()
    lineage = next(e for e in made if e.asset_key.path[1] == "split").step_materialization_data.materialization.metadata
    deps = lineage["dagster/column_lineage"].value.deps_by_column
    assert {d.asset_key.path[0] for found in deps.values() for d in found} == {"uploads"}
    again = run(ticks.home, upload)
    assert again.success
    kept = [e for e in again.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    assert all(e.step_materialization_data.materialization.metadata["reused"].value for e in kept)
    others = [p for p in (ticks.home / "var").rglob("*") if p.stat().st_mode & 0o077]
    assert [
        str(p) for p in others if "dagster" not in p.parts
    ] == []  # Dagster's own files lie in a folder of mode 0700


def test_leaderboard_and_report_of_a_blocked_upload_are_made_afterwards(ticks: Ticks) -> None:
    (ticks.home / "configs" / "uploads.yaml").write_text(
        "synthesizers: [{name: dp_marginals, epsilon: 3}]\nholdout: 0.4\nthresholds: {fidelity: 0.9999}\n"
    )
    ticks.definitions = chain.definitions(ticks.home)
    people_csv(ticks.home / "inbox" / "people.csv", rows=300)
    ticks()
    (upload,) = (r.partition_key for r in ticks().run_requests)
    blocked = run(ticks.home, upload)
    assert not blocked.success
    made = {e.asset_key.path[1] for e in blocked.all_events if e.event_type_value == "ASSET_MATERIALIZATION"}
    assert "audit_dp_marginals" in made
    assert not made & {"leaderboard", "report"}
    repository = ticks.definitions.get_repository_def()
    sensor = repository.get_sensor_def("blocked_uploads")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    with (
        chain.instance(ticks.home) as instance,
        dg.build_sensor_context(instance=instance, repository_def=repository) as context,
    ):
        (asked,) = sensor(context).run_requests
        assert (asked.partition_key, asked.run_key) == (upload, f"{blocked.run_id}:uploads")
        ticks.now += 60
        job = repository.get_job(repository.get_implicit_asset_job_names()[0])
        done = job.get_subset(asset_selection=set(asked.asset_selection)).execute_in_process(
            instance=instance, partition_key=asked.partition_key
        )
        assert done.success
        assert not sensor(context).run_requests  # made since
    store = chain.store(ticks.home)
    assert (store.path(store.current(Zone.RELEASE, upload, "report")) / "report.html").is_file()


def test_an_unreadable_file_fails_its_run_and_lies_in_quarantine_with_the_reason(ticks: Ticks) -> None:
    file = ticks.home / "inbox" / "Jane Roe.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 secret@example.org")
    ticks()
    (request,) = ticks().run_requests
    result = run(ticks.home, request.partition_key)
    assert not result.success
    reason = json.loads((ticks.home / "inbox" / "quarantine" / "Jane Roe.parquet.reason.json").read_text())
    assert reason["code"] == "source"
    assert reason["upload"] == request.partition_key
    assert "secret" not in json.dumps(reason)
    with chain.instance(ticks.home) as instance:
        told = "".join(str(e) for e in instance.all_logs(result.run_id))
        error = run_of(instance, result.run_id)["error"]
        (listed,) = runs_of(instance, request.partition_key, 20)
        assert runs_of(instance, "upload_other", 20) == ()
    assert "secret" not in told
    assert "Jane" not in told
    assert error is not None
    assert error["file"] == request.partition_key, "the folder in which it was read is gone"
    assert (listed.run_id, listed.upload, listed.dataset) == (result.run_id, request.partition_key, "uploads")
    (ticks.home / "configs" / "uploads.yaml").write_text("max_upload_mb: 1\n")
    ticks.definitions = chain.definitions(ticks.home)
    (ticks.home / "inbox" / "John Doe.csv").write_bytes(b"a,b\n" + b"1,2\n" * 300_000)
    ticks()
    ticks()
    with chain.instance(ticks.home) as instance:
        looking = Looking(Settings.from_environment(ticks.home), AutomationConfig(), [], instance, time.time())
        large, unreadable = quarantines(looking)
        assert [n.kind for n in (large, unreadable)] == ["quarantine", "quarantine"]
        assert (large.figures["code"], large.dataset) == ("too_large", "")
        assert (unreadable.figures["code"], unreadable.dataset) == ("source", request.partition_key)
        assert list(ended_runs(looking)) == []  # not told twice


def test_without_spending_the_chain_ends_with_the_masked_table(ticks: Ticks) -> None:
    (ticks.home / "configs" / "uploads.yaml").write_text("spend: false\n")
    job = chain.definitions(ticks.home).resolve_job_def("uploads_chain")
    names = {k.path[1] for k in job.asset_layer.selected_asset_keys}
    assert names == {"raw_upload", "profile", "pii_classification", "masked_upload", "audit_masked"}


def test_the_settings_of_the_inbox_reach_the_sensor(
    ticks: Ticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_INBOX", str(tmp_path / "drops"))
    people_csv(tmp_path / "drops" / "a.csv")
    ticks()
    assert len(ticks().run_requests) == 1
