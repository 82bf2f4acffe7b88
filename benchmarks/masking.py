"""Masking beside its peers: a table of people, Parquet to Parquet, in one run on one machine.

    python benchmarks/masking.py [--rows 1000000] [--skip-faker] [--peer-python /path/to/venv/bin/python]

13 columns: id, first_name, last_name, email, phone, ssn, card_number, birth_date, street, zip, visit_date, amount, and a note that
holds the row's first name, last name and telephone number. Each contender runs in a process of its own, whose CPU seconds and peak
memory the operating system reports. `plain` is a rewrite of the table by the same engine without masks: the floor of reading and
writing. Peers may live in an environment of their own (their pins clash with ours). Then 10,000 planted identifiers are searched for in
what each shipped policy leaves of a small table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP = 125_000
SEED = 7
COLUMNS = 13
BUDGET_SECONDS = 120
PEERS = {  # contender -> its package, the tier that does the same work, how many times its cells per CPU second are asked for
    "faker": ("faker", "tier 3", 40),
    "presidio": ("presidio_structured", "tier 1", 100),
    "presidio and text": ("presidio_structured", "tier 3", 100),
}
SIZES = (5_000, 100_000, 1_000_000)
TARGETS = {"tier 1": 2.5, "tier 2": 6.0, "tier 3": 12.0}
_TYPES = {
    "id": ("int64", "customer_id"),
    "first_name": ("string", "first_name"),
    "last_name": ("string", "last_name"),
    "email": ("string", "email"),
    "phone": ("string", "phone"),
    "ssn": ("string", "ssn"),
    "card_number": ("string", "card_number"),
    "birth_date": ("date32[day]", "birth_date"),
    "street": ("string", "street_address"),
    "zip": ("string", "zip"),
    "visit_date": ("date32[day]", "event_date"),
    "amount": ("double", "none"),
    "note": ("string", "free_text"),
}
_TIER_1: dict[str, dict[str, Any]] = {
    **{
        c: {"action": "pseudonym"}
        for c in ("id", "first_name", "last_name", "email", "phone", "ssn", "card_number", "street")
    },
    "birth_date": {"action": "generalise", "to": "year"},
    "zip": {"action": "generalise", "to": "zip3"},
    "visit_date": {"action": "date_shift"},
    "amount": {"action": "generalise", "to": "bin", "width": 10},
    "note": {"action": "keep"},
}
_TIER_2 = _TIER_1 | {c: {"action": "format_preserving"} for c in ("phone", "ssn", "card_number")}
_TIERS = {"tier 1": _TIER_1, "tier 2": _TIER_2, "tier 3": _TIER_2 | {"note": {"action": "scrub"}}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--skip-faker", action="store_true", help="leave the peers out")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter that has faker and presidio_structured"
    )
    parser.add_argument("--skip-leaks", action="store_true", help="leave the planted identifiers out")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contend(arguments.contender, arguments.folder, arguments.rows)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_table(folder / "raw.parquet", arguments.rows)
        floor = measure("plain", folder, arguments.rows)
        rates = {}
        for tier, most in TARGETS.items():
            made = measure(tier, folder, arguments.rows)
            rates[tier] = arguments.rows * COLUMNS / made
            print(f"{tier}: {made / floor:.2f} times a plain rewrite (asked for: at most {most:g})", flush=True)
        for peer in () if arguments.skip_faker else PEERS:
            compare(peer, folder, arguments.rows, rates, arguments.peer_python)
    if not arguments.skip_leaks:
        leaks()


def measure(contender: str, folder: Path, rows: int, python: str = sys.executable) -> float:
    """CPU seconds of one contender's process, start-up included; printed with its peak memory.

    -P: the scripts beside this one (profile.py) stand in front of no library.
    """
    command = [python, "-P", __file__, "--contender", contender, "--folder", str(folder), "--rows", str(rows)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{contender} failed")
    seconds = usage.ru_utime + usage.ru_stime
    line = {
        "contender": contender,
        "rows": rows,
        "cpu_s": round(seconds, 1),
        "peak_mb": usage.ru_maxrss // 1024,
        "cells_per_cpu_s": round(rows * COLUMNS / seconds),
    }
    print(json.dumps(line), flush=True)
    return seconds


def compare(peer: str, folder: Path, rows: int, rates: dict[str, float], python: str) -> None:
    """A peer at the largest of three sizes that takes under two minutes, against every tier."""
    package, like, asked = PEERS[peer]
    if subprocess.run([python, "-c", f"import {package}, pandas"], capture_output=True, check=False).returncode:
        print(f"{peer}: skipped, {package} cannot be imported by {python}")
        return
    seconds, size = 0.0, 0
    for larger in SIZES:
        if larger > rows or (size and seconds * larger / size > BUDGET_SECONDS):
            break
        size, seconds = larger, measure(peer, folder, larger, python)
    for tier, ours in rates.items():
        said = f" (the same work; asked for: at least {asked})" if tier == like else ""
        print(
            f"{tier} / {peer} at {size} rows: {ours * seconds / (size * COLUMNS):.0f} times the cells per CPU second{said}"
        )


def contend(contender: str, folder: Path, rows: int) -> None:
    if contender in _TIERS:
        ours(_TIERS[contender], folder)
    else:
        {"plain": plain, "faker": faker, "presidio": presidio, "presidio and text": presidio_and_text}[contender](
            folder, rows
        )


def plain(folder: Path, _: int) -> None:
    from synth_assets.tables.engine import Engine

    with Engine(memory_limit="2GB").session() as session:
        session.write(session.parquet(folder / "raw.parquet"), folder / "plain.parquet")


def ours(actions: dict[str, dict[str, Any]], folder: Path) -> None:
    from synth_assets.config.policy import Rule
    from synth_assets.masking.records import ColumnPlan, MaskingPlan
    from synth_assets.masking.run import MaskInput, mask_tables
    from synth_assets.storage.secrets import SecretKey
    from synth_assets.tables.engine import Engine

    domains = {"first_name": "name", "last_name": "name"}
    columns = [
        ColumnPlan(
            column=name,
            dtype=dtype,
            entity_type=entity_type,
            form=entity_type,
            rule=Rule.model_validate(actions[name]),
            domain=domains.get(entity_type, entity_type),
            reason="benchmark",
        )
        for name, (dtype, entity_type) in _TYPES.items()
    ]
    plan = MaskingPlan(
        table="people", policy="benchmark", columns=tuple(columns), person=("id",), as_of=date(2025, 12, 31)
    )
    table = MaskInput(folder / "raw.parquet", schema(), plan)
    mask_tables(
        {"people": table},
        {"people": folder / "masked.parquet"},
        key=SecretKey(bytes(range(32))),
        engine=Engine(memory_limit="2GB"),
    )


def schema() -> Any:
    from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

    kinds = {"int64": ColumnKind.NUMBER, "double": ColumnKind.NUMBER, "date32[day]": ColumnKind.DATE}
    columns = [
        ColumnSchema(name=n, dtype=d, kind=ColumnKind.TEXT if n == "note" else kinds.get(d, ColumnKind.CATEGORY))
        for n, (d, _) in _TYPES.items()
    ]
    return TableSchema(name="people", columns=tuple(columns), primary_key=("id",))


def faker(folder: Path, rows: int) -> None:
    """What scripts do: a dictionary from each distinct value to a made-up one, and `replace` in the note."""
    import pandas as pd
    from faker import Faker

    fake = Faker()
    Faker.seed(SEED)
    frame = first_rows(folder, rows).to_pandas()
    makers = {
        "first_name": fake.first_name, "last_name": fake.last_name, "email": fake.email, "phone": fake.phone_number, "ssn": fake.ssn,
        "card_number": fake.credit_card_number, "street": fake.street_address,
    }  # fmt: skip
    raw = {c: frame[c].copy() for c in ("first_name", "last_name", "phone")}
    for column, make in makers.items():
        frame[column] = frame[column].map({value: make() for value in frame[column].unique()})
    frame["id"] = frame["id"].map({value: i for i, value in enumerate(frame["id"].unique())})
    frame["birth_date"] = pd.to_datetime(frame["birth_date"]).dt.to_period("Y").dt.start_time
    frame["visit_date"] = pd.to_datetime(frame["visit_date"]) + pd.to_timedelta(frame["id"] % 361 - 180, unit="D")
    frame["zip"], frame["amount"] = frame["zip"].str[:3], frame["amount"].round(-1)
    pieces = [zip(raw[c], frame[c], strict=True) for c in raw]
    frame["note"] = [
        note.replace(*first).replace(*last).replace(*phone)
        for note, first, last, phone in zip(frame["note"], *pieces, strict=True)
    ]
    frame.to_parquet(folder / "faker.parquet")


def presidio(folder: Path, rows: int) -> None:
    """Eight columns hashed, as pseudonyms are; the note stays, as in tier 1."""
    hashed_by_presidio(first_rows(folder, rows).to_pandas()).to_parquet(folder / "presidio.parquet")


def presidio_and_text(folder: Path, rows: int) -> None:
    """The same, and the note searched by presidio's pattern recognisers (names stay: no language model is loaded)."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_anonymizer import AnonymizerEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def load(self) -> None:
            self.nlp = {"en": spacy.blank("en")}

    language = Blank()
    language.load()
    analyzer, anonymizer = AnalyzerEngine(nlp_engine=language), AnonymizerEngine()
    frame = hashed_by_presidio(first_rows(folder, rows).to_pandas())
    frame["note"] = [anonymizer.anonymize(text, analyzer.analyze(text, language="en")).text for text in frame["note"]]
    frame.to_parquet(folder / "presidio.parquet")


def hashed_by_presidio(frame: Any) -> Any:
    from presidio_anonymizer.entities import OperatorConfig
    from presidio_structured import PandasDataProcessor, StructuredAnalysis, StructuredEngine

    names = ("first_name", "last_name", "email", "phone", "ssn", "card_number", "street", "zip")
    analysis = StructuredAnalysis(entity_mapping={c: c.upper() for c in names})
    operators = {c.upper(): OperatorConfig("hash", {"salt": b"0123456789abcdef"}) for c in names}
    return StructuredEngine(data_processor=PandasDataProcessor()).anonymize(frame, analysis, operators=operators)


def first_rows(folder: Path, rows: int) -> pa.Table:
    file = pq.ParquetFile(folder / "raw.parquet")
    groups = range(min(file.num_row_groups, -(-rows // GROUP)))
    return file.read_row_groups(list(groups)).slice(0, rows)


def write_table(path: Path, rows: int) -> None:
    """The table, group by group, from one seed."""
    writer: pq.ParquetWriter | None = None
    for group in groups_of_people(rows):
        writer = writer or pq.ParquetWriter(path, group.schema, compression="zstd")
        writer.write_table(group, row_group_size=GROUP)
    if writer is not None:
        writer.close()
    print(json.dumps({"table": rows, "mb": path.stat().st_size // 2**20}), flush=True)


def groups_of_people(rows: int) -> Iterator[pa.Table]:
    """People in groups of 125,000; identifiers are unique over the whole table, whatever its size."""
    from synth_assets.generation import lists

    firsts = pa.array([*lists.first_names("F"), *lists.first_names("M")])
    lasts, streets = pa.array(lists.last_names()), pa.array(lists.streets())
    for start in range(0, rows, GROUP):
        rng = np.random.default_rng([SEED, start])
        index = np.arange(start, min(start + GROUP, rows), dtype=np.int64)
        n = len(index)
        first, last = firsts.take(rng.integers(0, len(firsts), n)), lasts.take(rng.integers(0, len(lasts), n))
        phone = digits(index * 3_467_891 % 6_400_000_007 + 2_000_000_000, "___-___-____")
        house = pa.array(rng.integers(1, 9999, n)).cast(pa.string())
        mail = pc.binary_join_element_wise(
            pc.utf8_lower(first), ".", pc.utf8_lower(last), pa.array(index).cast(pa.string()), "@mail.com", ""
        )
        yield pa.table(
            {
                "id": index * 7 + 1_000,
                "first_name": first,
                "last_name": last,
                "email": pc.replace_substring(mail, " ", ""),
                "phone": phone,
                "ssn": digits(index * 61_803_399 % 898_999_993 + 1_000_000, "___-__-____"),
                "card_number": cards(index),
                "birth_date": pa.array(rng.integers(-14_000, 13_000, n).astype(np.int32)).cast(pa.date32()),
                "street": pc.binary_join_element_wise(house, streets.take(rng.integers(0, len(streets), n)), " "),
                "zip": digits(rng.integers(501, 99_951, n), "_____"),
                "visit_date": pa.array(rng.integers(18_000, 20_000, n).astype(np.int32)).cast(pa.date32()),
                "amount": np.round(rng.lognormal(4, 1, n), 2),
                "note": notes(rng, first, last, phone),
            }
        )


def digits(numbers: np.ndarray, form: str) -> pa.Array:
    """Whole numbers in the places of `_` in a form."""
    made = np.tile(np.frombuffer(form.encode(), np.uint8), (len(numbers), 1))
    for i in reversed([i for i, c in enumerate(form) if c == "_"]):
        numbers, made[:, i] = numbers // 10, numbers % 10 + 48
    return fixed(made)


def fixed(characters: np.ndarray) -> pa.Array:
    count, width = characters.shape
    offsets = (np.arange(count + 1) * width).astype(np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))


def cards(index: np.ndarray) -> pa.Array:
    """Sixteen digits of twenty issuers with a valid check digit."""
    number = (400_000 + index % 20 * 7_919) * 10**9 + index * 104_729 % 999_999_937
    made = np.empty((len(index), 16), np.uint8)
    total, rest = np.zeros(len(index), np.int64), number
    for i in range(14, -1, -1):
        digit = rest % 10
        rest = rest // 10
        made[:, i] = digit + 48
        total += np.where(i % 2 == 0, digit * 2 - 9 * (digit > 4), digit)
    made[:, 15] = -total % 10 + 48
    return fixed(made)


_MIDDLE = (
    "called about the result of", "asked again for a copy of", "came in without an appointment for", "wants to change the date of",
    "was told by the front desk about", "did not understand the letter on", "paid in part for", "is waiting since Monday for",
)  # fmt: skip
_THINGS = (
    "the blood test", "an invoice", "the second visit", "a prescription", "the insurance form", "an x-ray of the knee", "the referral",
    "a vaccination", "the last payment", "a new card", "the discharge letter", "the follow-up",
)  # fmt: skip
_ENDS = (
    "No fever, no pain, sleeps well", "Dose was raised to 20 mg", "Will be called back", "Left a message with a neighbour",
    "Nothing else to report today", "Next step is agreed", "Prefers the morning",
)  # fmt: skip


def notes(rng: np.random.Generator, first: pa.Array, last: pa.Array, phone: pa.Array) -> pa.Array:
    """117 characters on average, with the row's first name, last name (in capitals in a quarter of the rows) and telephone number."""
    n = len(first)

    def pick(words: tuple[str, ...]) -> pa.Array:
        return pa.array(words).take(rng.integers(0, len(words), n))

    shown = pc.if_else(pa.array(rng.random(n) < 0.25), pc.utf8_upper(last), last)
    start = pc.binary_join_element_wise(first, shown, pick(_MIDDLE), pick(_THINGS), " ")
    return pc.binary_join_element_wise(
        start, pc.binary_join_element_wise("Phone", phone, " "), pick(_ENDS), pick(_ENDS), ". "
    )


def leaks(people: int = 2_000) -> None:
    """10,000 identifiers (five per row) in columns and in the note; how many are left by each policy but `keep`."""
    from synth_assets.masking.plan import plan_table
    from synth_assets.masking.policies import load_policy, policy_names
    from synth_assets.masking.run import MaskInput, mask_tables
    from synth_assets.masking.vault import TokenVault
    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.pii.taxonomy import taxonomy
    from synth_assets.storage.secrets import SecretKey
    from synth_assets.tables.engine import Engine

    raw = next(groups_of_people(people))
    code = pc.binary_join_element_wise("P", digits(np.arange(people) * 7_919 + 10_000_000, "________"), "-")
    planted = {"id": code, **{c: raw[c] for c in ("email", "phone", "ssn", "card_number")}}
    told = pc.binary_join_element_wise(
        raw["note"], planted["email"], planted["ssn"], planted["card_number"], code, "; "
    )
    raw = raw.set_column(0, "id", code).set_column(raw.schema.get_field_index("note"), "note", told)
    types = {**_TYPES, "id": ("string", "mrn")}
    verdicts = [
        ColumnVerdict(
            column=c, entity_type=t, identifier_class=taxonomy()[t].identifier_class, confidence=0.9, evidence=(), level="internal",
            recommended_action="keep",
        )
        for c, (_, t) in types.items()
    ]  # fmt: skip
    identifiers = [v for column in planted.values() for v in column.to_pylist()]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pq.write_table(raw, folder / "raw.parquet")
        columns = [c.model_copy(update={"dtype": types[c.name][0]}) for c in schema().columns]
        shape = schema().model_copy(update={"columns": tuple(columns)})
        for policy in policy_names():
            plan = plan_table(verdicts, load_policy(policy), schema=shape, unit_column="id")
            table = MaskInput(folder / "raw.parquet", shape, plan)
            out = folder / f"{policy}.parquet"
            vault = TokenVault(f"sqlite:///{folder / 'vault.db'}")
            mask_tables(
                {"people": table}, {"people": out}, key=SecretKey(bytes(range(32))), engine=Engine(), vault=vault
            )
            left = survivors(pq.read_table(out), identifiers)
            print(
                f"leak check, {policy}: {left} of {len(identifiers)} planted identifiers survive (asked for: 0)",
                flush=True,
            )


def survivors(masked: pa.Table, identifiers: list[str]) -> int:
    """How many identifiers stand in any cell, as they are or by their letters and digits alone."""
    cells = "\n".join(str(v).lower() for column in masked.columns for v in column.to_pylist() if v is not None)
    bare = "".join(c for c in cells if c.isalnum() or c == "\n")
    return sum(i.lower() in cells or "".join(c for c in i.lower() if c.isalnum()) in bare for i in identifiers)


if __name__ == "__main__":
    main()
