"""Classification and policy decide exactly one action for every column; what nobody could classify is withheld.

What belongs here: the decision and its reason, key groups and pseudonym domains, whose dates shift together. What does not: masking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from synth_assets.config.anonymity import TableAnonymity
from synth_assets.config.base import LocaleName
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.policy import PolicyConfig
from synth_assets.config.rules import Rule
from synth_assets.errors import ConfigError
from synth_assets.masking.anonymity.demand import demanded, listed
from synth_assets.masking.generalise import NUMBER_TYPES
from synth_assets.masking.operators import has_form, suits
from synth_assets.masking.records import ColumnPlan, MaskingPlan
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.tables.relations import route
from synth_assets.tables.schema import ForeignKey, TableSchema

Place = tuple[str, str]  # table, column
_NO_DOMAIN = {"none"}
# types whose class the classifier takes from the table alone; a table below one of persons tells of persons
_BY_TABLE = {"event_date", "free_text", "diagnosis_text"}
_SHARED_DOMAINS = {"first_name": "name", "last_name": "name", "person_name": "name", "fax": "phone"}


def plan_table(
    verdicts: Sequence[ColumnVerdict],
    policy: PolicyConfig,
    *,
    schema: TableSchema,
    overrides: Mapping[str, ColumnConfig] | None = None,
    unit_column: str | None = None,
    as_of: date | None = None,
    anonymity: TableAnonymity | None = None,
    locale: LocaleName = "en_US",
) -> MaskingPlan:
    """The plan of one table that stands alone; see `plan_tables`.

    Args:
        verdicts: Verdicts on its columns.
        policy: The policy.
        schema: Its schema.
        overrides: What a person says about columns.
        unit_column: Column that names the person; the primary key when None.
        as_of: Day on which "over 89" is judged; today when None.
        anonymity: Its quasi-identifiers, and what they must reach in place of the policy's.
        locale: Country of made-up names, streets and cities.
    """
    unit = (schema.name, unit_column) if unit_column else None
    plans = plan_tables(
        {schema.name: verdicts},
        policy,
        schemas={schema.name: schema},
        overrides={schema.name: overrides or {}},
        unit=unit,
        as_of=as_of,
        anonymity={} if anonymity is None else {schema.name: anonymity},
        locale=locale,
    )
    return plans[schema.name]


def plan_tables(
    verdicts: Mapping[str, Sequence[ColumnVerdict]],
    policy: PolicyConfig,
    *,
    schemas: Mapping[str, TableSchema],
    overrides: Mapping[str, Mapping[str, ColumnConfig]] | None = None,
    unit: Place | None = None,
    as_of: date | None = None,
    anonymity: Mapping[str, TableAnonymity] | None = None,
    locale: LocaleName = "en_US",
) -> dict[str, MaskingPlan]:
    """The plans of all tables of a dataset.

    Decision for one column: a person's override; for columns of keys that are not plainly harmless the policy's key action, the same in
    all tables that the key joins; withheld without a usable verdict; the rule of the entity type; the rule of the identifier class.

    Args:
        verdicts: Table -> verdicts; a column without one is withheld.
        policy: The policy.
        schemas: Table -> schema, with keys.
        overrides: Table -> column -> what a person says.
        unit: (table, column) that identifies a person; where None, the one table above that holds direct identifiers, else the row.
        as_of: Day on which "over 89" is judged; today when None.
        anonymity: Table -> its quasi-identifiers, and what they must reach in place of the policy's.
        locale: Country of made-up names, streets and cities.

    Returns:
        Table -> plan, columns in schema order.

    Raises:
        ConfigError: an override names a column that is not there, or an action that cannot work on it.
    """
    today = as_of or datetime.now(UTC).date()
    maker = _Planner(verdicts, policy, schemas, overrides or {}, unit, today, anonymity or {}, locale)
    return {name: maker.table(name) for name in schemas}


class _Planner:
    """The decision, with everything it looks at."""

    def __init__(
        self,
        verdicts: Mapping[str, Sequence[ColumnVerdict]],
        policy: PolicyConfig,
        schemas: Mapping[str, TableSchema],
        overrides: Mapping[str, Mapping[str, ColumnConfig]],
        unit: Place | None,
        as_of: date,
        anonymity: Mapping[str, TableAnonymity],
        locale: LocaleName,
    ) -> None:
        self.policy, self.schemas, self.overrides, self.as_of = policy, schemas, overrides, as_of
        self.locale = locale
        self.verdicts = {(t, v.column): v for t, vs in verdicts.items() for v in vs}
        self.groups = key_groups(schemas)
        self.units = {name: unit or self._guess_unit(name) for name in schemas}
        self.personal = {
            name for name, u in self.units.items() if u is not None and route(schemas, name, u[0]) is not None
        }
        self.anonymity = anonymity
        for table, columns in overrides.items():
            for column in columns:
                if table in schemas and column not in schemas[table].names:
                    raise ConfigError("the table has no such column.", column=column, key=f"tables.{table}.columns")

    def table(self, name: str) -> MaskingPlan:
        """The plan of one table."""
        schema = self.schemas[name]
        person, way = self._person(name)
        columns = tuple(self._column((name, c.name)) for c in schema.columns)
        classes = {c: v.identifier_class for (t, c), v in self.verdicts.items() if t == name}
        return MaskingPlan(
            table=name,
            policy=self.policy.name,
            columns=columns,
            anonymity=demanded(schema, columns, classes, self.policy.anonymity, self.anonymity.get(name)),
            person=person,
            person_route=way,
            as_of=self.as_of,
        )

    def _column(self, place: Place) -> ColumnPlan:
        plan = self._decide(place)
        problem = suits(plan, as_of=self.as_of)
        if problem is None:
            return plan
        if plan.overridden:
            raise ConfigError(
                f"{problem}.", column=place[1], key="action", remedy="Choose another action for this column."
            )
        rule = Rule(action=self.policy.unclassified)
        return plan.model_copy(
            update={"rule": rule, "reason": f"{plan.reason}; {problem}, so it is withheld", "withheld": True}
        )

    def _decide(self, place: Place) -> ColumnPlan:
        said = self._override(place)
        if said is not None:
            return self._plan(
                place, self._with_parameters(place, said), "override: the configuration says so", overridden=True
            )
        group = self.groups.get(place)
        if group is not None:
            inherited = self._override(group[0])
            if inherited is not None:
                return self._plan(
                    place,
                    self._with_parameters(group[0], inherited),
                    f"override of its key {'.'.join(group[0])}",
                    overridden=True,
                )
            if any(self._rule(p)[0].action != "keep" for p in group):
                reason = f"key: the same in every table, so that joins survive (policy {self.policy.name})"
                return self._plan(place, Rule(action=self.policy.keys), reason)
        rule, reason, withheld = self._rule(place)
        rule, reason, withheld = listed(place[1], rule, reason, self.anonymity.get(place[0]), withheld=withheld)
        return self._plan(place, rule, reason, withheld=withheld)

    def _plan(
        self, place: Place, rule: Rule, reason: str, *, overridden: bool = False, withheld: bool = False
    ) -> ColumnPlan:
        table, column = place
        stored = self.schemas[table].column(column)
        dtype = stored.dtype
        form = self._entity_type(self.groups.get(place, (place,))[0])
        if rule.action == "format_preserving" and not has_form(form) and dtype in {"string", "int64"}:
            reason += "; there is no form to keep for this type, so a plain pseudonym"
            rule = Rule(action="pseudonym")
        return ColumnPlan(
            column=column,
            dtype=dtype,
            decimals=stored.decimals,
            entity_type=self._entity_type(place),
            form=form,
            rule=rule,
            domain=self._domain(place),
            key=place in self.groups,
            joins_numbers=dtype == "string" and any(self._dtype(p) in NUMBER_TYPES for p in self.groups.get(place, ())),
            reason=reason,
            overridden=overridden,
            withheld=withheld,
            locale=self.locale,
        )

    def _dtype(self, place: Place) -> str:
        return self.schemas[place[0]].column(place[1]).dtype

    def _override(self, place: Place) -> Rule | None:
        config = self.overrides.get(place[0], {}).get(place[1])
        return None if config is None else config.action

    def _with_parameters(self, place: Place, said: Rule) -> Rule:
        """An overriding rule; one without parameters has those of the policy's own rule for the column, if its action is the same."""
        rule = self._rule(place)[0]
        bare = said.model_fields_set == {"action"}
        return rule if bare and rule.action == said.action else said

    def _usable(self, place: Place) -> ColumnVerdict | None:
        verdict = self.verdicts.get(place)
        return verdict if verdict is not None and verdict.confidence >= self.policy.minimum_confidence else None

    def _entity_type(self, place: Place) -> str:
        verdict = self._usable(place)
        return verdict.entity_type if verdict else "none"

    def _rule(self, place: Place) -> tuple[Rule, str, bool]:
        """The policy's rule for a column by its verdict alone, the reason, and whether the column is withheld."""
        verdict = self._usable(place)
        name = self.policy.name
        if verdict is None:
            why = "no verdict" if place not in self.verdicts else f"confidence below {self.policy.minimum_confidence:g}"
            return Rule(action=self.policy.unclassified), f"withheld: {why}", True
        entity = taxonomy()[verdict.entity_type]
        default = entity.identifier_class
        of_person = verdict.entity_type in _BY_TABLE and place[0] in self.personal
        business = verdict.identifier_class == "none" and default != "none" and not of_person
        special = "special" in {entity.gdpr, verdict.gdpr_category}
        if special and not business and self.policy.special_categories == "withhold":
            return Rule(action="drop"), f"policy {name}: withheld, Article 9 data ({verdict.entity_type})", False
        rule = self.policy.entity_types.get(verdict.entity_type)
        if rule is not None and not (business and self.policy.business_data == "keep"):
            return rule, f"policy {name}: {verdict.entity_type}", False
        of_class = self.policy.classes[verdict.identifier_class]
        return of_class, f"policy {name}: class {verdict.identifier_class} ({verdict.entity_type})", False

    def _domain(self, place: Place) -> str:
        root = self.groups.get(place, (place,))[0]
        entity_type = self._entity_type(root)
        if entity_type in _NO_DOMAIN:
            return f"key:{'.'.join(root)}"
        return _SHARED_DOMAINS.get(entity_type, entity_type)

    def _person(self, name: str) -> tuple[tuple[str, ...], tuple[ForeignKey, ...]]:
        """Columns that name the person of a row, and the way to them."""
        unit = self.units[name]
        way = None if unit is None else route(self.schemas, name, unit[0])
        if unit is None or way is None:
            return self.schemas[name].primary_key, ()
        if way and unit[1] in way[-1].parent_columns:  # the last table's own foreign key holds the same value
            last = way[-1]
            return (last.columns[last.parent_columns.index(unit[1])],), way[:-1]
        return (unit[1],), way

    def _guess_unit(self, name: str) -> Place | None:
        """The key of the only table, at the end of a way up from here, that holds direct identifiers and has one key column."""
        ends = [
            t
            for t, s in self.schemas.items()
            if not any(fk.parent_table in self.schemas and fk.parent_table != t for fk in s.foreign_keys)
            and len(s.primary_key) == 1
            and route(self.schemas, name, t) is not None
            and any(v.identifier_class == "direct" for (table, _), v in self.verdicts.items() if table == t)
        ]
        return (ends[0], self.schemas[ends[0]].primary_key[0]) if len(ends) == 1 else None


def key_groups(schemas: Mapping[str, TableSchema]) -> dict[Place, tuple[Place, ...]]:
    """Columns of single-column primary keys and of foreign keys -> all columns that join with them, the topmost parent first."""
    parents: dict[Place, list[Place]] = {}
    places: list[Place] = []
    for name, schema in schemas.items():
        if len(schema.primary_key) == 1:
            places.append((name, schema.primary_key[0]))
        for key in schema.foreign_keys:
            if key.parent_table not in schemas:
                places += [(name, c) for c in key.columns]
                continue
            for own, other in zip(key.columns, key.parent_columns, strict=True):
                parents.setdefault((name, own), []).append((key.parent_table, other))
                places += [(name, own), (key.parent_table, other)]
    neighbours: dict[Place, set[Place]] = {p: set() for p in places}
    for child, above in parents.items():
        for parent in above:
            neighbours[child].add(parent)
            neighbours[parent].add(child)
    groups: dict[Place, tuple[Place, ...]] = {}
    for place in neighbours:
        if place in groups:
            continue
        members = _connected(place, neighbours)
        ordered = tuple(sorted(members, key=lambda p: (p in parents and parents[p] != [p], p)))
        groups.update(dict.fromkeys(members, ordered))
    return groups


def _connected(start: Place, neighbours: Mapping[Place, set[Place]]) -> set[Place]:
    """All places that can be reached from one."""
    seen, waiting = {start}, [start]
    while waiting:
        for other in neighbours[waiting.pop()] - seen:
            seen.add(other)
            waiting.append(other)
    return seen
