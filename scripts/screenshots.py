"""Takes the pictures of the README: the asset graph of the demo in the Dagster UI, and the top of its report.

Needs headless Chromium and a finished demo in the home folder. Run it by `make screenshots`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DATASET = "clinic"
MAX_BYTES = 300_000
GRAPH_WINDOW = {"width": 3200, "height": 1900}
VERTICAL = "localStorage.setItem('asset-graph-direction', JSON.stringify('vertical'))"
NODES = "[...document.querySelectorAll('svg foreignObject')].map(e => e.getBoundingClientRect().toJSON())"
LOCATIONS = "{workspaceOrError {... on Workspace {locationEntries {name}}}}"
CONTROLS = "button:has([aria-label^=zoom]), button:has([aria-label=settings]), button:has([aria-label=config]), [class*=Slider]"
MARGIN = 40
REPORT_WINDOW = {"width": 1320, "height": 940}
START_SECONDS = 120


def main() -> None:
    """Take both pictures, or say in one line why not."""
    parser = argparse.ArgumentParser(description="Pictures of the README, from a finished demo.")
    parser.add_argument("--home", type=Path, default=ROOT, help="Folder with the demo's var/ (default: the checkout).")
    parser.add_argument("--out", type=Path, default=IMAGES, help="Folder to write (default: docs/images).")
    options = parser.parse_args()
    chromium = find_chromium()
    report = finished_report(options.home.resolve())
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        save(picture_of_report(browser, report), options.out / "report.png")
        with dagster_ui(options.home.resolve()) as address:
            save(picture_of_graph(browser, address), options.out / "graph.png")
        browser.close()


def find_chromium() -> str:
    """The browser's binary."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    sys.exit("screenshots: there is no Chromium on the path. On Debian: apt-get install chromium")


def finished_report(home: Path) -> Path:
    """The report of a demo whose last run succeeded."""
    from synth_assets.cli.serve import current_reports
    from synth_assets.config.runtime import Settings

    if not (home / "var").is_dir():
        sys.exit(f"screenshots: {home} has no var/, so the demo has not run there. Run: make demo")
    report = current_reports(Settings.from_environment(home)).get(DATASET)
    if report is None or not report.is_file():
        sys.exit(f"screenshots: the demo in {home} has not come to its report. Run: make demo")
    return report


@contextmanager
def dagster_ui(home: Path) -> Iterator[str]:
    """The Dagster UI on the home's history, on a free port; ends with its whole process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "synth_assets.cli", "ui", "--port", str(port), "--home", str(home)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(address, server, log)
            yield address
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Any) -> None:
    """Until the UI answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()[-1:]
            sys.exit(f"screenshots: the Dagster UI ended at once: {' '.join(last)}")
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    sys.exit(f"screenshots: the Dagster UI did not answer within {START_SECONDS} s.")


def picture_of_graph(browser: Any, address: str) -> bytes:
    """The asset graph of the dataset's group from top to bottom, without the panels around it."""
    page = browser.new_page(viewport=GRAPH_WINDOW)
    page.add_init_script(VERTICAL)
    page.goto(f"{address}/locations/{location_of(address)}/asset-groups/{DATASET}/lineage")
    page.wait_for_selector("text=pii_classification", timeout=90_000)
    page.wait_for_timeout(6000)  # states of the assets arrive one after the other
    page.add_style_tag(content=f"{CONTROLS} {{ visibility: hidden }}")
    nodes = [n for n in page.evaluate(NODES) if n["width"] > 0]
    left, top = min(n["left"] for n in nodes) - MARGIN, min(n["top"] for n in nodes) - MARGIN
    right, bottom = max(n["right"] for n in nodes) + MARGIN, max(n["bottom"] for n in nodes) + MARGIN
    clip = {"x": max(left, 240), "y": max(top, 165)}  # the panels on the left and at the top
    clip |= {
        "width": min(right, GRAPH_WINDOW["width"]) - clip["x"],
        "height": min(bottom, GRAPH_WINDOW["height"]) - clip["y"],
    }
    taken: bytes = page.screenshot(clip=clip)
    page.close()
    return taken


def location_of(address: str) -> str:
    """The name of the code location, as the UI has it in its addresses."""
    body = json.dumps({"query": LOCATIONS}).encode()
    request = urllib.request.Request(f"{address}/graphql", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
    return str(entries[0]["name"])


def picture_of_report(browser: Any, report: Path) -> bytes:
    """The top of the report, in light colours."""
    page = browser.new_page(viewport=REPORT_WINDOW, color_scheme="light")
    page.goto(report.as_uri())
    taken: bytes = page.screenshot()
    page.close()
    return taken


def save(png: bytes, target: Path) -> None:
    """As a palette PNG below the limit; smaller in steps if need be."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for scale in (1.0, 0.85, 0.7, 0.55):
        size = (round(image.width * scale), round(image.height * scale))
        shown = image if scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        shown.quantize(128, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            target.write_bytes(buffer.getvalue())
            print(f"{target}: {size[0]} x {size[1]}, {buffer.tell() // 1000} kB")
            return
    sys.exit(f"screenshots: {target.name} does not fit into {MAX_BYTES // 1000} kB.")


if __name__ == "__main__":
    main()
