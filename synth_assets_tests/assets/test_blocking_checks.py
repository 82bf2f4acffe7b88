"""Every guard bites: a planted fault fails its check, nothing below it runs, the earlier artifact stays, and later runs refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from synth_assets.api import open_budget
from synth_assets.errors import ReleaseRefusedError
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

LATER = """
import sys
from pathlib import Path
from synth_assets_tests import chain
done = chain.run(Path(sys.argv[1]), stages=sys.argv[2].split(","))
print(done.exit_code, done.error["code"] if done.error else "")
"""


def current(home: Path, zone: Zone, asset: str) -> str | None:
    ref = chain.store(home).find(zone, "clinic", asset)
    return None if ref is None else ref.content_hash


def kept(home: Path, zone: Zone, asset: str) -> set[str]:
    """The artifact folders of an asset, published or not."""
    return {p.name for p in (home / "var" / zone / "clinic" / asset).iterdir() if p.is_dir()}


def failed(done) -> set[tuple[str, str]]:
    return {(c.asset, c.check) for c in done.failed_checks if c.blocking}


def full_figure(home: Path, name: str) -> float:
    """A gated figure of the stored audit with all its digits."""
    audit = chain.store(home).current(Zone.RESTRICTED, "clinic", "audit_dp_marginals")
    result = json.loads((chain.store(home).path(audit) / "result.json").read_text())
    return float(result["module_scores"]["fidelity"] if name == "fidelity" else result["figures"][name])


def later_process(home: Path, stages: str) -> str:
    """Exit code and error of a later run of some stages in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", LATER, str(home), stages], check=False, capture_output=True, text=True, timeout=280,
        env={**os.environ, "PYTHONPATH": str(chain.ROOT), "OMP_NUM_THREADS": "1"}, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def rows_of(home: Path, table: str) -> pa.Table:
    """The raw rows of a table."""
    store = chain.store(home)
    folder = store.path(store.current(Zone.RESTRICTED, "clinic", f"raw_{table}"))
    return pq.read_table(sorted(folder.glob("part-*.parquet")))


def rewrite(folder: Path, change) -> None:
    """Change the one Parquet file of a table."""
    (file,) = folder.glob("part-*.parquet")
    pq.write_table(change(pq.read_table(file)), file)


def with_column(table: pa.Table, name: str, values) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


def test_a_broken_contract_stops_the_chain_and_every_later_run_of_what_stands_below(home: Path) -> None:
    before = current(home, Zone.RESTRICTED, "raw_claims")
    expectation = {"expect": "column_values_to_be_in_set", "column": "status", "value_set": ["paid"]}
    chain.edit(home, lambda c: c["tables"]["claims"].update(contract=[expectation]))
    done = chain.run(home)
    assert done.exit_code == 3
    assert failed(done) == {("raw_claims", "status_in_set")}
    assert {a.state for n, a in done.assets.items() if not n.startswith("raw_")} == {"skipped"}
    assert done.assets["raw_claims"].state == "failed"
    assert current(home, Zone.RESTRICTED, "raw_claims") == before
    assert later_process(home, "profile") == "3 release_refused"
    chain.edit(home, lambda c: c["tables"]["claims"].update(contract=[]))
    assert chain.run(home).exit_code == 0


def test_a_masked_table_with_a_raw_identifier_is_thrown_away(home: Path, monkeypatch) -> None:
    import synth_assets.masking.run as masking

    real = masking.mask_tables
    leaked = next(v for v in rows_of(home, "patients")["email"].to_pylist() if v)

    def careless(inputs, outputs, **options):
        done = real(inputs, outputs, **options)
        for table, folder in outputs.items():
            if table == "encounters":
                rewrite(folder, lambda t: with_column(t, "note", [f"write to {leaked}", *t["note"].to_pylist()[1:]]))
        return done

    before = kept(home, Zone.MASKED, "masked_encounters")
    chain.edit(home, lambda c: c.update(release_domain="another"))
    monkeypatch.setattr(masking, "mask_tables", careless)
    done = chain.run(home, stages=["masked", "report"])
    assert done.exit_code == 3
    assert failed(done) == {("masked_encounters", "leak")}
    assert leaked not in done.failed_checks[0].description
    assert kept(home, Zone.MASKED, "masked_encounters") == before
    assert done.assets["report"].state != "done"
    assert later_process(home, "report") == "3 release_refused"


def test_a_masked_table_whose_keys_no_longer_join_is_thrown_away(home: Path, monkeypatch) -> None:
    import synth_assets.masking.run as masking

    real = masking.mask_tables

    def careless(inputs, outputs, **options):
        done = real(inputs, outputs, **options)
        for table, folder in outputs.items():
            if table == "claims":
                rewrite(folder, lambda t: with_column(t, "encounter_id", [f"x{i}" for i in range(t.num_rows)]))
        return done

    before = kept(home, Zone.MASKED, "masked_claims")
    chain.edit(home, lambda c: c.update(release_domain="another"))
    monkeypatch.setattr(masking, "mask_tables", careless)
    done = chain.run(home, stages=["masked"])
    assert done.exit_code == 3
    assert failed(done) == {("masked_claims", "keys")}
    assert kept(home, Zone.MASKED, "masked_claims") == before


def test_a_second_accountant_that_disagrees_blocks_the_release(home: Path, monkeypatch) -> None:
    import synth_assets.synthesis.charged as charged

    real = charged.verify

    def disagreeing(events, spent):
        found = real(events, spent)
        return found.model_copy(update={"epsilon_upper": spent.epsilon / 2, "epsilon_lower": spent.epsilon / 3})

    before = kept(home, Zone.RELEASE, "dp_measurements")
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=2))
    monkeypatch.setattr(charged, "verify", disagreeing)
    done = chain.run(home, stages=["dp_measurements", "model"])
    assert done.exit_code == 3
    assert failed(done) == {("dp_measurements", "accountant")}
    assert kept(home, Zone.RELEASE, "dp_measurements") == before
    assert later_process(home, "model") == "3 release_refused"


def test_noise_that_an_attack_sees_through_blocks_the_release_before_anything_is_read(home: Path, monkeypatch) -> None:
    from synth_assets.privacy.mechanisms import SystemNoise
    from synth_assets.synthesis import release_measure

    def half(self, *, sigma: float, size: int):
        return real(self, sigma=sigma / 2, size=size)

    def read(*_):
        raise AssertionError("rows were read")

    real = SystemNoise.discrete_gaussian
    before = kept(home, Zone.RELEASE, "dp_measurements")
    spent = open_budget(home).status("clinic")
    chain.edit(home, lambda c: c["synthesizers"][0].update(epsilon=2))
    monkeypatch.setattr(SystemNoise, "discrete_gaussian", half)
    monkeypatch.setattr(release_measure, "open_sources", read)
    done = chain.run(home, stages=["dp_measurements", "model"])
    assert done.exit_code == 3
    assert failed(done) == {("dp_measurements", "empirical")}
    assert "is claimed" in done.failed_checks[0].description
    assert kept(home, Zone.RELEASE, "dp_measurements") == before
    assert open_budget(home).status("clinic") == spent
    assert later_process(home, "model") == "3 release_refused"


def test_a_model_that_holds_a_row_is_thrown_away(home: Path, monkeypatch) -> None:
    """Even where the code that stores models does it every time."""
    from synth_assets.synthesis.release import ReleaseModel

    real = ReleaseModel.save

    def hoarding(self, folder: Path) -> None:
        real(self, folder)
        (folder / "rows.json").write_text(json.dumps({"row_ids": [4, 17]}))

    before = kept(home, Zone.RELEASE, "model_dp_marginals")
    monkeypatch.setattr(ReleaseModel, "save", hoarding)
    done = chain.run(home, stages=["model"], fresh=True)
    assert done.exit_code == 3
    assert failed(done) == {("model_dp_marginals", "scan")}
    assert kept(home, Zone.RELEASE, "model_dp_marginals") == before
    assert later_process(home, "synthetic") == "3 release_refused"


def test_a_model_whose_canaries_can_be_told_is_thrown_away(home: Path, monkeypatch) -> None:
    from synth_assets.privacy.mechanisms import SystemNoise
    from synth_assets.synthesis import canaries

    class Silent(SystemNoise):
        def discrete_gaussian(self, *, sigma: float, size: int):
            return super().discrete_gaussian(sigma=sigma / 1000, size=size)

    before = kept(home, Zone.RELEASE, "model_dp_marginals")
    monkeypatch.setattr(canaries, "SystemNoise", Silent)
    monkeypatch.setattr(
        canaries, "epsilon_spent", lambda *_: 1.0
    )  # the demo's own claim is beyond what one run can show
    done = chain.run(home, stages=["model"], fresh=True)
    assert done.exit_code == 3
    assert failed(done) == {("model_dp_marginals", "canaries")}
    assert kept(home, Zone.RELEASE, "model_dp_marginals") == before


class Copier:
    """A synthesizer that hands out the rows that it was trained on."""

    def __init__(self, train: dict[str, Path], spoil=None) -> None:
        self.train, self.spoil = train, spoil

    def sample(self, *, rows, seed, out: Path) -> dict[str, Path]:
        for table, folder in self.train.items():
            (out / table).mkdir(parents=True)
            copied = pq.read_table(sorted(folder.glob("part-*.parquet"))).drop_columns(["_unit"])
            if self.spoil is not None:
                copied = self.spoil(table, copied)
            pq.write_table(copied, out / table / "part-00000.parquet")
        return {table: out / table for table in self.train}


def plant_synthesizer(home: Path, monkeypatch, spoil=None) -> None:
    import synth_assets.synthesis.release as release

    split = chain.store(home).current(Zone.RESTRICTED, "clinic", "split")
    folder = chain.store(home).path(split)
    train = {t: folder / t / "train" for t in ("patients", "encounters", "claims")}
    monkeypatch.setattr(release, "load_release", lambda _: Copier(train, spoil))


def test_a_synthesizer_that_copies_its_training_rows_is_not_released(home: Path, monkeypatch) -> None:
    before = {fmt: current(home, Zone.RELEASE, f"export_{fmt}") for fmt in ("parquet", "csv")}
    plant_synthesizer(home, monkeypatch)
    chain.edit(home, lambda c: c.update(thresholds={"privacy_risk": "medium"}))
    done = chain.run(home, stages=["synthetic", "audit", "leaderboard", "report", "export"], fresh=True)
    assert done.exit_code == 3
    assert failed(done) == {("audit_dp_marginals", "privacy_risk")}
    assert done.assets["audit_dp_marginals"].state == "done"  # a person may read a failed audit
    assert done.assets["audit_dp_marginals"].metadata["privacy_risk"] > 0.25
    assert {a.state for n, a in done.assets.items() if n.startswith("export")} == {"skipped"}
    assert {fmt: current(home, Zone.RELEASE, f"export_{fmt}") for fmt in before} == before
    assert later_process(home, "export") == "3 release_refused"
    assert {n: a.state for n, a in done.assets.items() if n in ("leaderboard", "report")} == {
        "leaderboard": "done",
        "report": "done",
    }
    assert done.assets["leaderboard"].metadata["recommended"] == "none"
    page = Path(done.assets["report"].metadata["report"]).read_text()
    assert "BLOCKED" in page and "Exports of clinic are refused because of dp_marginals" in page
    assert "No synthesizer is recommended" in page
    assert later_process(home, "leaderboard,report") == "0"
    chain.edit(home, lambda c: c.update(thresholds={"privacy_risk": "high"}))  # another limit, the same tables
    assert chain.run(home, stages=["audit", "leaderboard", "report"]).exit_code == 0
    told = chain.store(home).current(Zone.RELEASE, "clinic", "report")
    assert "BLOCKED" not in (chain.store(home).path(told) / "report.html").read_text()


def test_the_report_of_an_audit_without_a_verdict_of_its_content_is_refused(home: Path) -> None:
    (home / "var" / "restricted" / "clinic" / "audit_dp_marginals" / "verdict.json").unlink()
    done = chain.run(home, stages=["report"])
    assert done.exit_code == 3
    assert done.error["code"] == "release_refused"


def test_a_report_tells_of_a_failed_audit_only(home: Path) -> None:
    expectation = {"expect": "column_values_to_be_in_set", "column": "status", "value_set": ["paid"]}
    chain.edit(home, lambda c: c["tables"]["claims"].update(contract=[expectation]))
    assert chain.run(home).assets["report"].state == "skipped"
    assert later_process(home, "report") == "3 release_refused"


def test_synthetic_children_without_a_parent_are_not_released(home: Path, monkeypatch) -> None:
    def orphaned(table: str, rows: pa.Table) -> pa.Table:
        if table != "encounters":
            return rows
        return with_column(rows, "patient_id", [f"nobody{i}" for i in range(rows.num_rows)])

    plant_synthesizer(home, monkeypatch, orphaned)
    chain.edit(home, lambda c: c.update(thresholds={"privacy_risk": None}))
    done = chain.run(home, stages=["synthetic", "audit", "leaderboard", "export"], fresh=True)
    assert done.exit_code == 3
    assert ("audit_dp_marginals", "referential_integrity") in failed(done)
    assert done.assets["export_csv"].state == "skipped"


@pytest.mark.parametrize(
    "gate", [{"fidelity": 0.999}, {"utility_gap": 0.0, "privacy_risk": None}, {"fairness_gap": 0.0}]
)
def test_a_stricter_threshold_judges_the_same_tables_again_and_blocks(home: Path, gate: dict) -> None:
    folders = kept(home, Zone.RESTRICTED, "audit_dp_marginals")
    chain.edit(home, lambda c: c.update(thresholds={"privacy_risk": "high", **gate}))
    done = chain.run(home, stages=["audit", "export"])
    name = next(iter(gate))
    audit = done.assets["audit_dp_marginals"]
    assert audit.state == "done"
    assert audit.reused  # the audit itself is not computed again
    assert kept(home, Zone.RESTRICTED, "audit_dp_marginals") == folders
    value = full_figure(home, name)  # two digits, as the metadata have, may hide on which side it is
    blocked = value < gate[name] if name == "fidelity" else value > gate[name]
    assert (("audit_dp_marginals", name) in failed(done)) == blocked
    assert (done.exit_code == 3) == blocked
    if blocked:
        with pytest.raises(ReleaseRefusedError, match="failed its blocking check"):
            from synth_assets.storage.verdicts import read_verified

            read_verified(chain.store(home), Zone.RESTRICTED, "clinic", "audit_dp_marginals")


def test_a_threshold_that_warns_shows_in_the_run_and_blocks_nothing(home: Path) -> None:
    gates = {"privacy_risk": None, "fidelity": {"limit": 0.999, "severity": "warn"}}
    chain.edit(home, lambda c: c.update(thresholds=gates))
    done = chain.run(home, stages=["audit", "export"])
    assert done.exit_code == 0
    told = {c.check: c.blocking for c in done.failed_checks if c.asset == "audit_dp_marginals"}
    assert told["fidelity"] is False
    assert "privacy_risk" not in told
    assert done.assets["export_csv"].state == "done"


def test_other_cut_offs_are_quoted_by_the_audit(home: Path) -> None:
    chain.edit(home, lambda c: c.update(audit={"levels": {"tvd": {"medium": 0.001, "high": 0.002}}}))
    assert chain.run(home, stages=["audit"]).exit_code == 0
    folder = chain.store(home).path(chain.store(home).current(Zone.RESTRICTED, "clinic", "audit_dp_marginals"))
    result = json.loads((folder / "result.json").read_text())
    assert result["levels"]["tvd"] == {"medium": 0.001, "high": 0.002}
    (found,) = [
        f
        for f in result["detailed_findings"]["fidelity"]["findings"]
        if f["metric"] == "tvd_2way" and f["table"] == "patients"
    ]
    assert found["risk_level"] == "high"
    assert "0.002 or more" in found["message"]


def test_an_audit_of_other_tables_releases_nothing(home: Path) -> None:
    zone, pointer = chain.store(home).backend(Zone.RESTRICTED), "clinic/audit_dp_marginals/current.json"
    before = zone.read_pointer(pointer)
    assert before is not None
    record = json.loads(before.data)
    record["info"]["synthetic"]["patients"] = "0" * 64
    assert zone.write_pointer(pointer, json.dumps(record).encode(), instead_of=before)
    done = chain.run(home, stages=["export"])
    assert done.exit_code == 3
    assert done.error["code"] == "release_refused"
    assert "other tables" in done.error["message"]


def test_an_artifact_without_a_verdict_is_refused(home: Path) -> None:
    (home / "var" / "restricted" / "clinic" / "pii_classification" / "verdict.json").unlink()
    done = chain.run(home, stages=["split"])
    assert done.exit_code == 3
    assert done.error["code"] == "release_refused"


def test_files_that_are_gone_are_an_error_and_no_fresh_start(home: Path) -> None:
    import shutil

    shutil.rmtree(
        home / "var" / "release" / "clinic" / "dp_measurements" / current(home, Zone.RELEASE, "dp_measurements")
    )
    done = chain.run(home, stages=["dp_measurements"])
    assert done.exit_code == 2
    assert done.error["code"] == "missing_artifact"


def test_the_identifiers_of_a_column_that_changed_its_role_are_never_mixed_with_an_old_model(home: Path) -> None:
    override = {"entity_type": "other_id", "identifier_class": "direct"}
    chain.edit(home, lambda c: c["tables"]["patients"]["columns"].update(city=override))
    assert chain.run(home, stages=["pii_classification"]).exit_code == 0
    done = chain.run(home, stages=["synthetic"])
    assert done.exit_code == 3
    assert "trained on other columns" in done.error["message"]


def test_dagster_shows_a_thrown_away_artifact_as_a_failed_check_and_not_as_a_materialization(home: Path) -> None:
    import dagster as dg

    def told() -> tuple[int, list[bool]]:
        with chain.instance(home) as instance:
            key = dg.AssetKey(["clinic", "raw_claims"])
            made = instance.fetch_materializations(key, limit=50).records
            check = dg.AssetCheckKey(key, "status_in_set")
            found = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
            return len(made), [r.evaluation.passed for r in found if r.evaluation]

    expectation = {"expect": "column_values_to_be_in_set", "column": "status", "value_set": ["paid"]}
    chain.edit(home, lambda c: c["tables"]["claims"].update(contract=[expectation]))
    made, before = told()
    chain.run(home, stages=["raw"])
    assert told() == (made, [False, *before])


def test_no_check_stands_for_a_column_value(finished: Path) -> None:
    raw = chain.store(finished).current(Zone.RESTRICTED, "clinic", "raw_patients")
    emails = pc.drop_null(rows_of(finished, "patients")["email"].combine_chunks()).to_pylist()
    told = json.dumps([r["description"] for r in raw.info["checks"]])
    assert not [e for e in emails if e in told]
