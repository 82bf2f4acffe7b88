"""Every column has one role; a direct identifier is never modelled, whatever a person declares about its domain."""

from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.roles import column_roles, identifying_columns
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema


def column(name, kind=ColumnKind.CATEGORY, dtype="string"):
    return ColumnSchema(name=name, kind=kind, dtype=dtype)


def verdict(name, entity_type="none", identifier_class="none"):
    return ColumnVerdict(
        column=name, entity_type=entity_type, identifier_class=identifier_class, confidence=1, evidence=(), level="internal",
        recommended_action="keep",
    )  # fmt: skip


def roles(columns, verdicts, configs=None, **schema):
    return column_roles(TableSchema(name="t", columns=tuple(columns), **schema), verdicts, configs or {})


def test_keys_identifiers_and_modelled_columns_are_told_apart():
    found = roles(
        [column("id"), column("parent"), column("email"), column("sex"), column("note", ColumnKind.TEXT)],
        [
            verdict("id"),
            verdict("parent"),
            verdict("email", "email", "direct"),
            verdict("sex", "sex", "quasi"),
            verdict("note", "free_text", "sensitive"),
        ],
        primary_key=("id",),
        foreign_keys=(ForeignKey(columns=("parent",), parent_table="p", parent_columns=("id",)),),
    )
    assert found.keys == ("id", "parent")
    assert found.identifiers == {"email": "email", "note": "free_text"}
    assert found.modelled == ("sex",)


def test_a_column_without_a_verdict_is_made_anew():
    assert roles([column("x")], []).identifiers == {"x": "free_text"}


def test_a_declared_domain_makes_a_text_modelled_but_never_a_direct_identifier():
    declared = {"a": ColumnConfig(categories=("x", "y")), "b": ColumnConfig(categories=("x", "y"))}
    found = roles(
        [column("a", ColumnKind.TEXT), column("b", ColumnKind.TEXT)],
        [verdict("a"), verdict("b", "email", "direct")],
        declared,
    )
    assert found.modelled == ("a",)
    assert found.identifiers == {"b": "email"}


kinds = st.sampled_from(list(ColumnKind))
classes = st.sampled_from(["direct", "quasi", "sensitive", "none"])
types = st.sampled_from(["none", "email", "customer_id", "other_id", "free_text", "sex"])


@given(st.lists(st.tuples(kinds, classes, types, st.booleans()), min_size=1, max_size=8))
def test_every_column_has_exactly_one_role_and_no_direct_identifier_is_modelled(drawn):
    columns = [column(f"c{i}", kind) for i, (kind, *_) in enumerate(drawn)]
    verdicts = [verdict(f"c{i}", t, c) for i, (_, c, t, known) in enumerate(drawn) if known]
    found = roles(columns, verdicts)
    placed = [*found.keys, *found.identifiers, *found.modelled]
    assert sorted(placed) == sorted(c.name for c in columns)
    direct = {v.column for v in verdicts if v.identifier_class == "direct"}
    assert not direct & set(found.modelled)


def test_texts_and_ids_count_as_identifying():
    found = identifying_columns(
        [verdict("a", "free_text", "sensitive"), verdict("b", "email", "direct"), verdict("c", "sex", "quasi")]
    )
    assert found == {"a", "b"}


def test_what_links_the_rows_of_a_person_is_a_key_whatever_it_looks_like() -> None:
    schema = TableSchema(
        name="t",
        columns=tuple(ColumnSchema(name=n, kind=ColumnKind.CATEGORY, dtype="string") for n in ("row", "who", "state")),
        primary_key=("row",),
    )
    configs = {"who": ColumnConfig(categories=("a", "b"))}
    linked = column_roles(schema, [], configs, links=["who"])
    assert linked.keys == ("row", "who")
    assert "who" not in linked.modelled
    assert "who" not in linked.identifiers


def test_the_column_of_the_unit_is_made_anew_whatever_it_looks_like() -> None:
    schema = TableSchema(
        name="t",
        columns=tuple(
            ColumnSchema(name=n, kind=ColumnKind.NUMBER, dtype="int64") for n in ("patient", "visit_number", "stay")
        ),
    )
    verdicts = [verdict("patient"), verdict("visit_number", "other_id"), verdict("stay")]
    found = column_roles(schema, verdicts, {}, unit="patient")
    assert found.identifiers == {"patient": "customer_id"}
    assert found.modelled == ("visit_number", "stay")
    assert column_roles(schema, verdicts, {}).modelled == ("patient", "visit_number", "stay")


def test_a_unit_of_which_a_person_declared_the_values_is_modelled() -> None:
    schema = TableSchema(name="t", columns=(column("ward"), column("stay")))
    verdicts, public = [verdict("ward"), verdict("stay")], ColumnConfig(categories=("a", "b"))
    assert column_roles(schema, verdicts, {"ward": public}, unit="ward").modelled == ("ward", "stay")
    drafted = public.model_copy(update={"inferred": True})
    assert column_roles(schema, verdicts, {"ward": drafted}, unit="ward").modelled == ("stay",)
    bounded = ColumnConfig(lower=0, upper=9)
    assert column_roles(schema, verdicts, {"ward": bounded}, unit="ward").modelled == ("stay",)
