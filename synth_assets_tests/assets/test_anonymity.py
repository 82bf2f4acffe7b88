"""The policy `k_anonymity` on the demo: its check stands on every masked table, passes, and blocks a table that does not hold."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

K = 4


def ask(config: dict) -> None:
    """k persons in every table of the clinic."""
    config["policy"] = "k_anonymity"
    for table in config["tables"].values():
        table["anonymity"] = {"k": K}


def masked(home: Path, table: str) -> Path:
    store = chain.store(home)
    return store.path(store.current(Zone.MASKED, "clinic", f"masked_{table}"))


def test_k_holds_in_every_masked_table_and_a_table_where_it_does_not_is_thrown_away(home: Path, monkeypatch) -> None:
    chain.edit(home, ask)
    done = chain.run(home, stages=["masked"])
    assert done.exit_code == 0, (done.error, done.failed_checks)
    summary = json.loads((masked(home, "patients") / "summary.json").read_text())
    quasi = summary["anonymity"]["quasi"]
    assert {"sex", "birth_date"} <= set(quasi)
    (file,) = masked(home, "patients").glob("part-*.parquet")
    rows = pq.read_table(file).to_pandas()
    assert rows.groupby(quasi, dropna=False).size().min() >= K
    store = chain.store(home)
    checks = store.current(Zone.MASKED, "clinic", "masked_encounters").info["checks"]
    told = {c["name"]: c for c in checks}["k_anonymity"]
    assert told["passed"]
    assert "persons share each combination" in told["description"]

    import synth_assets.masking.run as masking

    real = masking.mask_tables

    def careless(inputs, outputs, **options):
        summaries = real(inputs, outputs, **options)
        for table, folder in outputs.items():
            if table == "patients":
                (file,) = folder.glob("part-*.parquet")
                written = pq.read_table(file)
                place = written.column_names.index("sex")
                alone = pa.array(["X", *written["sex"].to_pylist()[1:]], pa.string())
                pq.write_table(written.set_column(place, "sex", alone), file)
        return summaries

    before = masked(home, "patients")
    chain.edit(home, lambda c: c.update(release_domain="another"))
    monkeypatch.setattr(masking, "mask_tables", careless)
    done = chain.run(home, stages=["masked"])
    assert done.exit_code == 3
    assert {(c.asset, c.check) for c in done.failed_checks if c.blocking} == {("masked_patients", "k_anonymity")}
    assert masked(home, "patients") == before
