"""Pictures: valid, small, and made of either form."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from synth_assets.profiling.plots import MAX_BYTES, association_map, histogram_grid, missing_values
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import TableProfile
from synth_assets.tables.engine import Engine

PLOTS = [histogram_grid, missing_values, association_map]


@pytest.fixture
def wide(written: Any, engine: Engine) -> TableProfile:
    """40 columns of all kinds with hostile names and values."""
    rng = np.random.default_rng(1)
    rows = 200
    data: dict[str, Any] = {f"number {i}": rng.normal(size=rows) for i in range(18)}
    data |= {
        f"$a_{i}^$ {'long ' * 10}": rng.choice(["$x^$", "line\nbreak", "größe \u4e2d", "d" * 90], rows)
        for i in range(18)
    }
    data["when"] = pa.array(np.arange(rows).astype("datetime64[D]"), pa.date32())
    data["gaps"] = pa.array([None if i % 3 else 1.0 * i for i in range(rows)])
    path, schema = written(data)
    return profile_table(path, schema, engine)


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("form", ["full", "public"])
def test_a_picture_is_a_small_png(plot: Callable[[TableProfile], bytes], form: str, wide: TableProfile) -> None:
    data = plot(wide if form == "full" else wide.public())
    assert len(data) <= MAX_BYTES
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert min(image.size) >= 100
    assert image.width <= 1000
    assert image.height <= 1700
    colours = image.convert("RGB").getcolors(image.width * image.height)
    assert colours is not None
    assert len(colours) > 2


def test_a_plot_is_the_same_bytes_each_time(wide: TableProfile) -> None:
    assert histogram_grid(wide) == histogram_grid(wide)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_table_with_nothing_to_draw_gives_a_picture_that_says_so(
    plot: Callable[[TableProfile], bytes], written: Any, engine: Engine
) -> None:
    path, schema = written({"empty": pa.array([None, None], pa.string())})
    profile = profile_table(path, schema, engine)
    assert plot(profile)[:4] == b"\x89PNG"
    assert plot(profile.public())[:4] == b"\x89PNG"


def test_drawing_leaves_pyplot_alone() -> None:
    code = (
        "import sys; from synth_assets.profiling.plots import missing_values; from synth_assets.profiling.records import TableProfile; "
        "assert 'matplotlib' not in sys.modules; "
        "missing_values(TableProfile(name='t', row_count=1, columns=(), duplicates=0)); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
