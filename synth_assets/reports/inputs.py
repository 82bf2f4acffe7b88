"""What a report may be made of: public forms only, checked here, so that no caller can hand in more by mistake.

What belongs here: the report's input and the reasons to refuse it. What does not: computing a figure, or wording one.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth_assets.audit.leaderboard import Leaderboard
from synth_assets.audit.pictures.public import Pictures
from synth_assets.audit.records import AuditResult
from synth_assets.config.rules import Action
from synth_assets.errors import InputError, ReleaseRefusedError
from synth_assets.pii.records import ColumnVerdict
from synth_assets.privacy.report import PrivacyReport
from synth_assets.profiling.records import TableProfile

CLAIM_FIELDS = ("unit", "unit_is_declared", "contribution_bounds", "spent", "crosscheck", "events", "non_dp_inputs")


class _Line(BaseModel):
    """Base of what is taken out of larger records: the fields that are named here and no others."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class CheckLine(_Line):
    """One asset check and its outcome, in counts and words: an expectation of a contract, a gate of masking or of a release."""

    name: str
    passed: bool
    description: str
    blocking: bool


class MaskLine(_Line):
    """What masking did to one column, without the counts of the raw table."""

    column: str
    action: Action
    reason: str
    overridden: bool = False
    withheld: bool = False
    information_loss: float = Field(ge=0, le=1)


class MaskCard(_Line):
    """What masking did to one table."""

    columns: tuple[MaskLine, ...]


class LineageLine(_Line):
    """One artifact that the report speaks of.

    Attributes:
        asset: Its name in the dataset.
        zone: Where it lives.
        version: First digits of its content hash.
        made_from: Assets it was made from.
    """

    asset: str
    zone: str
    version: str = Field(max_length=16)
    made_from: tuple[str, ...] = ()


class ReportInput(BaseModel):
    """Everything the report tells, in public form.

    Attributes:
        dataset: Name.
        description: From the YAML.
        policy: Masking policy.
        unit: Declared unit of privacy, or None.
        population: Whose budget is charged.
        target: Outcome column.
        protected: Protected columns.
        development_key: The masking key was made on first use, not given by a secret manager.
        contracts: Outcomes of the contract per table.
        profiles: Profile per table, in the order of the report.
        verdicts: Classification per table.
        masks: What masking did, per table.
        mask_checks: The gates of masking (leaks, keys, k-anonymity) per table.
        mask_audit: The audit of the masked tables.
        privacy: The DP releases, in the order of the synthesizers.
        audits: Audit per synthesizer.
        gates: The gates of a release per synthesizer.
        leaderboard: Synthesizers side by side.
        pictures: What the pictures of an audit show, per synthesizer; refuses by itself what is finer than a public form.
        lineage: The artifacts behind the report, in the order of the chain.
        audit_entries: Entries of the audit ledger when the report was made; None where there was none.
        audit_head: Hash of the last of them.

    Raises:
        ReleaseRefusedError: a part is not in public form, or a claim of differential privacy is not complete.
        InputError: the parts are not of the same tables or synthesizers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dataset: str
    description: str | None
    policy: str
    unit: str | None
    population: str
    target: str | None
    protected: tuple[str, ...]
    development_key: bool
    contracts: Mapping[str, tuple[CheckLine, ...]]
    profiles: Mapping[str, TableProfile]
    verdicts: Mapping[str, tuple[ColumnVerdict, ...]]
    masks: Mapping[str, MaskCard]
    mask_checks: Mapping[str, tuple[CheckLine, ...]]
    mask_audit: AuditResult | None = None
    privacy: tuple[PrivacyReport, ...]
    audits: Mapping[str, AuditResult]
    gates: Mapping[str, tuple[CheckLine, ...]]
    leaderboard: Leaderboard
    pictures: Mapping[str, Pictures] = Field(default_factory=dict)
    lineage: tuple[LineageLine, ...] = ()
    audit_entries: int | None = None
    audit_head: str | None = None

    @model_validator(mode="after")
    def _publishable(self) -> ReportInput:
        for name, known in self._full_forms().items():
            if known:
                raise ReleaseRefusedError(
                    f"the {name} is not in its public form; a report holds public forms only.",
                    remedy="Hand in the result of `.public()`.",
                )
        self._same_names()
        self._no_pictures_of_what_is_blocked()
        _check_claims(self.privacy, self.leaderboard)
        return self

    def _full_forms(self) -> dict[str, bool]:
        """Part to whether it says more than its public form would."""
        found = {f"profile of table {name!r}": profile.form != "public" for name, profile in self.profiles.items()}
        found |= {
            f"classification of table {name!r}": any(v != v.public() for v in verdicts)
            for name, verdicts in self.verdicts.items()
        }
        found |= {
            f"audit of {name}": audit.form != "public" or audit != audit.public() for name, audit in self.audits.items()
        }
        masked = self.mask_audit
        found["audit of the masked tables"] = masked is not None and (
            masked.form != "public" or masked != masked.public()
        )
        return {**found, "leaderboard": self.leaderboard != self.leaderboard.public()}

    def _no_pictures_of_what_is_blocked(self) -> None:
        """A picture names groups of real people only since a table that is released names them too."""
        for name in self.pictures:
            if any(line.blocking and not line.passed for line in self.gates.get(name, ())):
                raise ReleaseRefusedError(
                    f"the tables of {name} are not released, so no picture of them may stand beside real rows.",
                    remedy="Leave its pictures out of the report; they lie with the audit in the restricted zone.",
                )

    def _same_names(self) -> None:
        for part in ("contracts", "verdicts", "masks", "mask_checks"):
            if set(getattr(self, part)) != set(self.profiles):
                raise InputError(f"`{part}` and `profiles` of a report do not speak of the same tables.")
        ranked = {row.synthesizer for row in self.leaderboard.rows}
        if ranked != set(self.audits) or set(self.gates) != set(self.audits) or not set(self.pictures) <= ranked:
            raise InputError(
                "audits, gates, pictures and leaderboard of a report do not speak of the same synthesizers."
            )


def _check_claims(releases: tuple[PrivacyReport, ...], leaderboard: Leaderboard) -> None:
    """Refuse an epsilon without everything that gives it a meaning.

    A default is not a statement: the fields of a claim must have been given, an empty list of non-DP inputs included.

    Raises:
        ReleaseRefusedError: something is missing.
    """
    told = {privacy.mechanism for privacy in releases}
    if any(row.epsilon is not None and row.synthesizer not in told for row in leaderboard.rows):
        raise ReleaseRefusedError(
            "the leaderboard states an epsilon without a privacy report.", remedy="Hand in the privacy report."
        )
    for privacy in releases:
        _check_claim(privacy)


def _check_claim(privacy: PrivacyReport) -> None:
    missing = [name for name in CLAIM_FIELDS if name not in privacy.model_fields_set]
    missing += [name for name in ("unit", "contribution_bounds", "events") if not getattr(privacy, name)]
    if missing:
        raise ReleaseRefusedError(
            f"a claim of differential privacy does not say: {', '.join(dict.fromkeys(missing))}.",
            remedy="State the unit, its contribution bounds, delta, the mechanisms and the non-DP inputs (an empty list if none).",
        )
