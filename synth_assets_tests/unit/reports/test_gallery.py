"""The pictures: small, themed, escaped, with words; those for Dagster fit its metadata."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import synth_assets.reports
from synth_assets.assets.metadata import MAX_PICTURE_BYTES
from synth_assets.audit.leaderboard import FitCost, rank
from synth_assets.audit.pictures.distributions import ColumnCounts, Distributions, SideCounts
from synth_assets.audit.pictures.public import ColumnShares, Pictures
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import Cutoffs
from synth_assets.errors import ReleaseRefusedError
from synth_assets.reports import plots
from synth_assets.reports.dataset_report import ReportInput, render
from synth_assets.reports.drawing import PALETTE, as_svg
from synth_assets.reports.gallery import (
    MOST,
    OPEN,
    board_png,
    board_words,
    distribution_words,
    evidence,
    gallery,
    small_picture,
    small_picture_words,
)
from synth_assets_tests.unit.reports.builders import audit, parts, pictures

ATTACK = "<script>alert(1)</script>"
CSS = (Path(synth_assets.reports.__file__).parent / "templates" / "style.css.j2").read_text()
WIDE = {"wide": [f"column_{i}" for i in range(200)]}
DISTRIBUTION = ColumnShares(
    table="t", column="age", kind="number", edges=(20, 40), whole=True,
    shares={"real": (0.25, 0.5, 0.25), "synthetic": (None, 0.6, 0.4)}, missing={"real": 0.05, "synthetic": None},
)  # fmt: skip


def test_a_distribution_is_told_in_words_cell_by_cell():
    words = distribution_words(DISTRIBUTION)
    assert "below 20: real 25\u00a0%, synthetic fewer than 11 rows" in words
    assert "20 to 40: real 50\u00a0%, synthetic 60\u00a0%" in words
    assert "40 or more: real 25\u00a0%" in words


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.5, "number", "0.5"), (15000, "number", "15k"), (2.5e6, "number", "2.5M"), (-3, "number", "-3"), (0, "date", "1970"),
        (86400 * 31, "date", "1970-02"), (86400, "date", "1970-01-02"), (3600, "datetime", "1970-01-01 01:00"),
        (-86400 * 365, "date", "1969"),
    ],
)  # fmt: skip
def test_edges_are_told_as_short_as_can_be(value, kind, text):
    assert plots.edge_text(value, kind) == text


def test_the_least_alike_come_first_twelve_in_sight_and_sixty_in_all():
    (found,) = gallery(pictures(WIDE), "s")
    distances = [float(p.note.split()[1].strip(";")) for p in (*found.first, *found.rest)]
    assert distances == sorted(distances, reverse=True)
    assert (len(found.first), len(found.first) + len(found.rest), found.not_shown) == (OPEN, MOST, 200 - MOST)


def test_without_pictures_there_is_no_gallery():
    assert gallery(None, "s") == ()
    assert gallery(Pictures(), "s") == ()


def test_every_colour_of_a_picture_follows_the_page():
    for picture in gallery(pictures({"t": ["a", "b", "c", "d"]}), "s")[0].first:
        assert not re.findall(r"#[0-9a-f]{6}", str(picture.svg))
        assert "var(--real)" in picture.svg
    for name in PALETTE:
        assert CSS.count(f"--{name}:") == 2, name  # a light and a dark one


def test_the_light_colours_of_the_page_are_those_of_the_palette():
    light = CSS[: CSS.index("@media")]
    for name, colour in PALETTE.items():
        assert f"--{name}: {colour}" in light, name


def test_names_of_the_data_are_escaped_and_keep_their_digits():
    column = DISTRIBUTION.model_copy(update={
        "column": ATTACK, "kind": "category", "edges": (), "names": (ATTACK, "12.34567", "患者 🩺"),
    })  # fmt: skip
    svg = as_svg(plots.distribution(column), label=distribution_words(column), name="distribution")
    assert "<script" not in svg
    assert "12.34567" in svg
    assert "患者 🩺" in svg  # in letters that the font of the layout lacks; warnings are errors here
    assert svg.count("<svg") == svg.count("</svg>") == 1


def test_a_picture_has_some_kilobytes_and_no_ids_styles_or_scripts():
    for picture in gallery(pictures({"t": ["a", "b"]}), "s")[0].first:
        assert len(picture.svg) < 8_000
        assert 'id="' not in picture.svg
        assert "<style" not in picture.svg
        assert "url(" not in picture.svg


def test_the_same_picture_has_the_same_bytes():
    first, second = (gallery(pictures({"t": ["a", "b", "c"]}), "s") for _ in range(2))
    assert first == second


def test_attacks_are_ordered_by_what_they_achieve_above_their_control():
    found = evidence(audit(), "s")
    assert found is not None
    assert [f.metric for _, f in found.rows] == ["attribute_inference", "membership_inference.nearest"]
    assert found.rows[0][0] == "Attribute inference \u00b7 a"
    assert "Attribute inference \u00b7 a: 0.60, control 0.50" in found.picture
    assert evidence(audit(("fidelity",)), "s") is None


def test_only_so_many_attacks_are_drawn_and_the_rest_is_counted():
    attack = Finding(metric="attribute_inference", message="w", risk_level="low", value=0.5, excess_interval=(0, 0.1))
    many = tuple(attack.model_copy(update={"column": f"c{i}"}) for i in range(40))
    whole = audit()
    module = whole.detailed_findings["privacy"].model_copy(update={"findings": many})
    found = evidence(
        whole.model_copy(update={"detailed_findings": {**whole.detailed_findings, "privacy": module}}), "s"
    )
    assert (len(found.rows), found.more) == (24, 16)


def board(blocked: bool = False):
    results = {"dp_marginals": audit(), "ctgan": audit()}
    return rank(
        results, {"dp_marginals": FitCost(fit_seconds=1, epsilon=1.0)}, {"ctgan": ("fidelity",)} if blocked else {}
    ).public()


def test_the_leaderboard_is_told_in_words_with_epsilon_and_what_is_blocked():
    words = board_words(board(blocked=True))
    assert "dp_marginals: risk at most 0.06, utility 0.94, epsilon 1" in words
    assert "ctgan: risk at most 0.06, utility 0.94, not differentially private, blocked" in words


def test_names_of_synthesizers_that_lie_on_each_other_do_not_overlap():
    figure = plots.utility_and_risk(board().rows, Cutoffs(medium=0.1, high=0.25))
    heights = [
        t.get_position()[1] for t in figure.axes[0].texts if "epsilon" in t.get_text() or "private" in t.get_text()
    ]
    assert abs(heights[0] - heights[1]) >= 0.075


def test_pictures_for_dagster_fit_its_event_log():
    many = [
        ColumnShares(
            table="t", column=f"a_rather_long_name_{i}", kind="category", names=(*(f"Some long category name {i} {j}" for j in range(12)), None),
            shares={"real": (0.08,) * 12 + (0.04,), "holdout": (0.08,) * 12 + (0.04,), "synthetic": (0.075,) * 12 + (0.1,)},
        )
        for i in range(8)
    ]  # fmt: skip
    assert len(small_picture(Pictures(columns=tuple(many)))) < MAX_PICTURE_BYTES
    drawn = pictures(WIDE)
    for png in (small_picture(drawn), small_picture(Pictures()), board_png(board(), Cutoffs(medium=0.1, high=0.25))):
        assert png.startswith(b"\x89PNG")
        assert len(png) < MAX_PICTURE_BYTES
    assert small_picture_words(drawn).count("column_") == 8
    assert "none" in small_picture_words(Pictures())


@pytest.mark.parametrize("guarded", [True, False])  # the False row proves that the search would find a leak
def test_a_planted_rare_name_and_an_extreme_are_in_no_report(guarded):
    rare, extreme = "the-only-one-with-it", 987_654.0
    names = SideCounts(rows=(4000, 900, 9, 0), persons=(4000, 900, 9, 0))
    numbers = SideCounts(rows=(3000, 1900, 8, 1), persons=(3000, 1900, 8, 1))
    counts = Distributions(
        columns=(
            ColumnCounts(table="patients", column="sex", kind="category", names=("F", "M", rare), sides={"real": names, "synthetic": names}),
            ColumnCounts(table="patients", column="age", kind="number", edges=(40.0, 80.0, extreme), sides={"real": numbers, "synthetic": numbers}),
        )
    )  # fmt: skip
    shown = counts.public()
    if not guarded:
        column = shown.columns[0].model_copy(update={"names": ("F", rare)})
        shown = shown.model_copy(update={"columns": (column, *shown.columns[1:])})
    page = render(ReportInput.model_validate(parts() | {"pictures": {"dp_marginals": shown}}))
    assert "below 40" in page
    assert (rare in page) == (not guarded)
    assert not any(text in page for text in ("987654", "987,654", "987.7k", "988k"))


def test_counts_are_refused_in_place_of_pictures():
    with pytest.raises((ValidationError, ReleaseRefusedError)):
        ReportInput.model_validate(
            parts() | {"pictures": {"dp_marginals": Distributions().model_dump() | {"boxes": [{"persons": {}}]}}}
        )
