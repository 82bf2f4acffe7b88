"""Every statistic of a profile against pandas and scipy, on public tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import ColumnProfile, TableProfile
from synth_assets.tables.engine import Engine
from synth_assets.tables.sources import ingest

pytestmark = pytest.mark.shared_data
TABLES = (
    "adult/train.csv",
    "credit_default/train.csv",
    "flights/planes.csv",
    "flights/airports.csv",
    "chinook/Customer.csv",
)


@pytest.fixture(scope="module", params=TABLES)
def both(
    request: pytest.FixtureRequest, shared_data: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TableProfile, pd.DataFrame]:
    """Our profile and the same canonical table as a frame."""
    folder = tmp_path_factory.mktemp("real") / "table"
    source = SourceConfig(path=str(shared_data / request.param))
    schema = ingest(source, name="t", base_dir=shared_data, out=folder, engine=engine)
    return profile_table(folder, schema, engine), pd.read_parquet(next(folder.glob("part-*.parquet")))


def test_counts_and_top_values_are_those_of_pandas(both: tuple[TableProfile, pd.DataFrame]) -> None:
    profile, frame = both
    assert (profile.row_count, profile.duplicates) == (len(frame), int(frame.duplicated().sum()))
    for column in profile.columns:
        values = frame[column.name]
        expected = values.count(), values.isna().sum(), values.nunique()
        assert (column.count, column.missing, column.distinct) == expected, column.name
        counted = values.value_counts()
        assert [v.rows for v in column.top_values] in ([], list(counted.iloc[:10])), column.name
        if values.dtype == object and column.count:
            lengths = values.dropna().astype(str).str.len()
            assert column.text is not None
            assert (column.text.min_length, column.text.max_length) == (lengths.min(), lengths.max())
            assert column.text.mean_length == pytest.approx(lengths.mean())


def test_moments_quantiles_and_outliers_are_those_of_pandas(both: tuple[TableProfile, pd.DataFrame]) -> None:
    profile, frame = both
    checked = 0
    for column in profile.columns:
        if column.number is None or not column.count:
            continue
        x, found = frame[column.name].dropna().astype(float), column.number
        q25, median, q75 = x.quantile([0.25, 0.5, 0.75])
        reach = 1.5 * (q75 - q25)
        expected = {
            "minimum": x.min(), "q25": q25, "median": median, "mean": x.mean(), "q75": q75, "maximum": x.max(), "std": x.std(),
            "zeros": (x == 0).sum(), "negatives": (x < 0).sum(),
            "outliers_iqr": ((x < q25 - reach) | (x > q75 + reach)).sum(),
            "outliers_zscore": ((x - x.mean()).abs() > 3 * x.std()).sum(), "not_finite": 0,
        }  # fmt: skip
        assert found.model_dump() == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-9), column.name
        _check_histogram(column, x)
        checked += 1
    assert checked or not any(pd.api.types.is_float_dtype(t) for t in frame.dtypes)


def _check_histogram(column: ColumnProfile, x: pd.Series[Any]) -> None:
    assert column.histogram is not None
    edges = np.array([float(e) for e in column.histogram.edges if e is not None])
    expected, _ = np.histogram(x, bins=edges)
    assert list(column.histogram.counts) == list(expected), column.name


def test_associations_are_those_of_scipy(both: tuple[TableProfile, pd.DataFrame]) -> None:
    profile, frame = both
    found = profile.associations
    assert found is not None
    frame = frame.assign(**{c: _common(frame[c]) for c, n in zip(found.columns, found.numeric, strict=True) if not n})
    for i, j in itertools.combinations(range(len(found.columns)), 2):
        pair = frame[[found.columns[i], found.columns[j]]].dropna()
        if len(pair) < 2:
            continue
        expected = {"pearson": _pearson, "cramers_v": _cramers_v, "correlation_ratio": _ratio}[found.method(i, j)](
            *(
                _number(pair[c]) if n else pair[c]
                for c, n in zip(pair, (found.numeric[i], found.numeric[j]), strict=True)
            )
        )
        value = found.matrix[i][j]
        assert (value is None and np.isnan(expected)) or value == pytest.approx(expected, abs=2e-6), tuple(pair)


def _number(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.astype("datetime64[us]").astype("int64") if values.dtype == object else values.astype(float)


def _pearson(a: pd.Series[Any], b: pd.Series[Any]) -> float:
    return float(a.corr(b))


def _common(values: pd.Series[Any]) -> pd.Series[Any]:
    """Categories as the matrix has them: beyond 50, the rarer ones are one."""
    texts = values.astype(object).where(values.isna(), values.astype(str))
    counted = sorted(texts.value_counts().items(), key=lambda v: (-v[1], v[0]))
    return texts.where(texts.isin([v for v, _ in counted[:50]]) | texts.isna(), "all others")


def _cramers_v(a: pd.Series[Any], b: pd.Series[Any]) -> float:
    from scipy.stats import chi2_contingency

    table = pd.crosstab(a, b).to_numpy()
    n, (r, k) = table.sum(), table.shape
    if min(r, k) < 2:
        return float("nan")
    smaller = min((r - 1) * (1 - (r - 1) / (n - 1)), (k - 1) * (1 - (k - 1) / (n - 1)))
    phi2 = max(0.0, chi2_contingency(table, correction=False).statistic / n - (r - 1) * (k - 1) / (n - 1))
    return min(1.0, float(np.sqrt(phi2 / smaller))) if smaller > 0 else float("nan")


def _ratio(a: pd.Series[Any], b: pd.Series[Any]) -> float:
    groups, x = (b, a) if a.dtype != object and b.dtype == object else (a, b)
    means = x.groupby(groups.astype(str)).transform("mean")
    total = ((x - x.mean()) ** 2).sum()
    return float(np.sqrt(((means - x.mean()) ** 2).sum() / total)) if total else float("nan")
