"""The audit ledger: time of an append with writers at once, of a full check, and random tamperings found. SQLite, a temporary folder.

Beside the time of an append stands that of one sync of the same disk at the same time, by which it is read: an append waits for one.

python benchmarks/audit_ledger.py [--writers 8] [--appends 100] [--entries 1000000] [--tamperings 10000]
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path[:] = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent
]  # profile.py here is not Python's


def opened(folder):
    """The ledger of a home."""
    from synth_assets.config.runtime import Settings
    from synth_assets.ledger.opening import open_audit_ledger

    return open_audit_ledger(Settings(home=Path(folder)))


def event(n):
    """An event like those of a chain."""
    from synth_assets.ledger.audit import Action, AuditEvent

    details = {"content_hash": f"{n:064x}", "published": True, "reused": False, "zone": "restricted"}
    return AuditEvent(
        Action.MATERIALISED,
        f"clinic/raw_{n % 50}",
        dataset="clinic",
        run_id=f"r{n // 100}",
        config_hash="ab" * 32,
        details=details,
    )


def raw_sync(folder, count=50):
    """Median milliseconds of one `fdatasync` of a file that grows by 8 KiB each time, as the log of the database does."""
    times, handle = [], os.open(Path(folder) / "raw", os.O_WRONLY | os.O_CREAT)
    for _ in range(count):
        os.write(handle, bytes(8192))
        before = time.perf_counter()
        os.fdatasync(handle)
        times.append(1000 * (time.perf_counter() - before))
    os.close(handle)
    return statistics.median(times)


def append(folder, appends, anew, barrier, queue):
    """One writer: milliseconds of each append, and of CPU; with `anew`, the ledger is opened and closed for each."""
    ledger, times = opened(folder), []
    ledger.record(event(0))
    barrier.wait()
    start = time.process_time()
    for n in range(appends):
        before = time.perf_counter()
        if anew:
            ledger = opened(folder)
        ledger.record(event(n))
        if anew:
            del ledger
        times.append(1000 * (time.perf_counter() - before))
    queue.put((times, 1000 * (time.process_time() - start) / appends))


def measure_appends(writers, appends, *, anew):
    """Print the times of writers at once, none of which ever pauses."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        opened(folder).record(event(0))
        barrier, queue = context.Barrier(writers + 1), context.Queue()
        started = [context.Process(target=append, args=(folder, appends, anew, barrier, queue)) for _ in range(writers)]
        for process in started:
            process.start()
        alone = raw_sync(folder)
        barrier.wait()
        sync = raw_sync(folder)
        found = [queue.get() for _ in started]
        for process in started:
            process.join()
        times = sorted(t for some, _ in found for t in some)
        cpu = statistics.mean(c for _, c in found)
    what = f"append, {writers} writers x {appends}{', opened for each' if anew else ''}"
    print(
        f"{what}: median {statistics.median(times):.1f} ms, mean {statistics.mean(times):.1f}, "
        f"95 % {times[int(0.95 * len(times))]:.1f}, longest {times[-1]:.0f}; {cpu:.2f} ms CPU each; "
        f"a bare sync {alone:.2f} ms before, {sync:.2f} meanwhile",
        flush=True,
    )


def fill(ledger, folder, entries):
    """Write entries as `record` does, thousands in one statement."""
    from synth_assets.config.runtime import Settings
    from synth_assets.ledger import chain, heads
    from synth_assets.ledger.opening import key_of

    last = ledger.record(event(0))
    with ledger.store.writing("filling") as connection:
        signer, actor = key_of(Settings(home=Path(folder)).keys_folder)(None), ledger.actors.id_of("filler")
        rows, position, previous = [], last.position, last.hash
        while position < entries:
            position += 1
            record, at = chain.canonical(event(position).record("default", actor)), chain.now()
            own = chain.digest("audit", position, at, record, previous)
            rows.append(("audit", position, at, record, previous, own))
            previous = own
            if position % heads.KEPT_EVERY == 0 or position == entries:
                heads.write(connection, ledger.chain, heads.signed("audit", position, own, signer))
                names = ("chain", "position", "at", "record", "previous", "hash")
                ledger.store.insert(connection, "chain_entries", names, rows)
                rows = []


def measure_check(entries):
    """Print the time of a full check."""
    from synth_assets.ledger.verifying import check_ledger

    with tempfile.TemporaryDirectory() as folder:
        ledger = opened(folder)
        fill(ledger, folder, entries)
        wall, cpu = time.perf_counter(), time.process_time()
        check = check_ledger(ledger)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert not check.faults
    print(
        f"check of {check.entries:,} entries and {len(check.marks):,} kept heads: {wall:.1f} s, {cpu:.1f} s CPU",
        flush=True,
    )


def flip(text, rng):
    """One bit of one byte."""
    data = bytearray(text.encode())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(7))
    return data.decode()


def tampered(export, rng):
    """A copy with one random change, and its kind."""
    made = {**export, "entries": list(export["entries"]), "heads": copy.deepcopy(export["heads"])}
    entries, heads = made["entries"], made["heads"]
    kind = str(rng.choice(["flip", "delete", "insert", "reorder", "truncate", "rewrite", "head", "replay"]))
    i, j = (int(n) for n in rng.choice(len(entries), 2, replace=False))
    if kind == "flip":
        field = str(rng.choice(["at", "record", "previous", "hash"]))
        entries[i] = {**entries[i], field: flip(entries[i][field], rng)}
    elif kind == "delete":
        del entries[i]
    elif kind == "insert":
        entries.insert(i, {**entries[j], "position": i + 1})
        for k in range(i + 1, len(entries)):
            entries[k] = {**entries[k], "position": k + 1}
    elif kind == "reorder":
        entries[i], entries[j] = {**entries[j], "position": i + 1}, {**entries[i], "position": j + 1}
    elif kind == "truncate":
        del entries[i:]
    elif kind == "rewrite":
        rewrite(entries, i)
    elif kind == "head":
        head = heads[int(rng.integers(len(heads)))]
        field = str(rng.choice(["hash", "key_id", "signature"]))
        head[field] = flip(head[field], rng)
    else:  # cut off, and an earlier head in place of the last: found by the head that is kept outside
        place = int(rng.integers(1, len(heads)))
        old = heads[place]
        del entries[old["position"] :]
        made["heads"] = [{**old, "slot": 0}, *(h for h in heads[1:] if h["position"] <= old["position"])]
    return kind, made


def rewrite(entries, first):
    """Another content and right hashes from there on, as somebody makes them who has no key."""
    from synth_assets.ledger.verify import START, Row

    entries[first] = {
        **entries[first],
        "record": entries[first]["record"].replace("clinic", "ward_7").replace("key", "kee"),
    }
    for k in range(first, len(entries)):
        entry = {**entries[k], "previous": entries[k - 1]["hash"] if k else START}
        entries[k] = {**entry, "hash": Row(**entry).digest("audit", entry["position"])}


def check_of(export, outside):
    """The check, with the fast signatures."""
    from synth_assets.ledger.signing import is_signed
    from synth_assets.ledger.verify import ChainCheck, Row

    check = ChainCheck("audit", is_signed, {h for _, h in outside})
    places = {}
    for entry in export["entries"]:
        check.look(Row(**entry))
        places[entry["hash"]] = entry["position"]
    kept = {h["slot"]: h for h in export["heads"] if h["slot"]}
    check.end(next((h for h in export["heads"] if not h["slot"]), None), kept, places.get)
    for position, hashed in outside:
        check.compare(position, hashed)
    return check


def measure_tamperings(count):
    """Print how many random tamperings of a ledger of 120 entries with kept heads are found."""
    from synth_assets.ledger import heads, verify

    every, heads.KEPT_EVERY, verify.KEPT_EVERY = heads.KEPT_EVERY, 20, 20
    rng, found, tried, missed = np.random.default_rng(7), {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        ledger = opened(folder)
        head = ledger.record_all(event(n) for n in range(129))
        with ledger.store.reading() as connection:
            kept = [{"slot": slot, **asdict(h)} for slot, h in heads.kept(connection, ledger.chain)]
            rows = [asdict(row) for row in ledger.chain.rows(connection)]
    export = {"heads": [{"slot": 0, **asdict(head)}, *kept], "entries": rows}
    outside = [(head.position, head.hash)]
    assert not check_of(export, outside).faults
    for _ in range(count):
        kind, made = tampered(export, rng)
        tried[kind] = tried.get(kind, 0) + 1
        if check_of(made, outside).faults:
            found[kind] = found.get(kind, 0) + 1
        else:
            missed.append(kind)
    heads.KEPT_EVERY = verify.KEPT_EVERY = every
    by_kind = ", ".join(f"{kind} {found.get(kind, 0)} of {tried[kind]}" for kind in sorted(tried))
    print(f"{count:,} random tamperings: {sum(found.values()):,} found ({by_kind})", flush=True)
    assert not missed, json.dumps(missed[:10])


def main() -> None:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--appends", type=int, default=100)
    parser.add_argument("--entries", type=int, default=1_000_000, help="0: no check")
    parser.add_argument("--tamperings", type=int, default=10_000, help="0: none")
    given = parser.parse_args()
    measure_appends(1, given.appends, anew=False)
    measure_appends(given.writers, given.appends, anew=False)
    measure_appends(given.writers, given.appends, anew=True)
    if given.tamperings:
        measure_tamperings(given.tamperings)
    if given.entries:
        measure_check(given.entries)


if __name__ == "__main__":
    main()
