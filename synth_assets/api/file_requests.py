"""What the jobs for any file are asked, and what they answer: the run config of a Dagster job, and the client's records.

A place is a path (relative to the home folder), an address, or a reference to a sealed file in the exchange area. No value of a file is
part of a request: what a client has in its hands goes sealed through the exchange area.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Place = Annotated[str, StringConstraints(min_length=1, max_length=8_192)]
OUT = "Where the result goes: a path, or a place in the exchange area."


class FileRequest(BaseModel):
    """What all requests have in common; unknown keys are errors, and no error quotes a value.

    Attributes:
        job: Name of the Dagster job.
        inputs: Fields that are places to read.
        reply_key: Public key of the client, for which results in the exchange area are sealed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    job: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]] = ("file",)

    reply_key: str | None = Field(
        default=None, description="Public key for which a result in the exchange area is sealed."
    )


class ProfileRequest(FileRequest):
    """Statistics of every column of a file."""

    job: ClassVar[str] = "profile_file"
    file: Place = Field(description="The table.")


class ClassifyRequest(FileRequest):
    """What each column of a file holds about people."""

    job: ClassVar[str] = "classify_file"
    file: Place = Field(description="The table.")


class MaskRequest(FileRequest):
    """A masked copy of a file."""

    job: ClassVar[str] = "mask_file"
    file: Place = Field(description="The table.")
    out: Place = Field(description=OUT)
    policy: str = Field(default="hipaa_safe_harbor", description="Name of a policy, or path of one.")


class GenerateRequest(FileRequest):
    """Tables from a generator schema."""

    job: ClassVar[str] = "generate_tables"
    inputs: ClassVar[tuple[str, ...]] = ("table_schema",)
    table_schema: Place = Field(description="YAML of the schema.")
    out: Place = Field(description="Folder of the tables, or a place in the exchange area.")
    rows: int | None = Field(default=None, description="Rows of the first root table; as the schema says when null.")
    seed: int = Field(default=7, description="Same schema, seed and rows: same bytes.")
    format: str = Field(default="csv", description="csv, parquet or jsonl.")


class SynthesizeRequest(FileRequest):
    """A synthetic copy of a file, charged to a budget."""

    job: ClassVar[str] = "synthesize_file"
    inputs: ClassVar[tuple[str, ...]] = ("file", "domain")
    file: Place = Field(description="The table to train on.")
    out: Place = Field(description=OUT)
    synthesizer: str = Field(default="dp_marginals", description="Name of a synthesizer.")
    epsilon: float = Field(default=1.0, description="Epsilon of the release.")
    delta: float = Field(default=1e-6, description="Delta of the release.")
    rows: int | None = Field(default=None, description="Rows to sample; about as many as there are when null.")
    domain: str | None = Field(default=None, description="File of public bounds and categories.")
    target: str | None = Field(default=None, description="Outcome column.")
    seed: int = Field(default=7, description="Seed of the sample; noise has none.")
    population: str | None = Field(default=None, description="Whose budget is charged; the file's name when null.")


REQUESTS: tuple[type[FileRequest], ...] = (
    ProfileRequest, ClassifyRequest, MaskRequest, GenerateRequest, SynthesizeRequest,
)  # fmt: skip


class FileReply(BaseModel):
    """What all replies have in common; later versions only add keys."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ProfileReply(FileReply):
    """The public form of a profile."""

    row_count: int = Field(description="Rows, rounded where they are few.")
    profile: dict[str, Any] = Field(description="The public form of the profile.")


class ClassifyReply(FileReply):
    """The public form of a classification."""

    columns: int = Field(description="How many columns.")
    verdicts: list[dict[str, Any]] = Field(description="The public form of each column's verdict.")


class MaskReply(FileReply):
    """What was masked."""

    row_count: int = Field(description="Rows of the masked table.")
    path: str = Field(description="Where it lies: a path on the service, or a reference into the exchange area.")
    policy: str = Field(description="The policy.")


class GenerateReply(FileReply):
    """What was made."""

    tables: dict[str, str] = Field(description="Where each table lies.")


class SynthesizeReply(FileReply):
    """What was sampled, and what it cost."""

    row_count: int = Field(description="Rows of the synthetic table.")
    path: str = Field(description="Where it lies: a path on the service, or a reference into the exchange area.")
    epsilon_spent: float | None = Field(
        default=None, description="What the release cost; null where it is not private."
    )
    budget_left: float | None = Field(default=None, description="Epsilon that the population has left.")


REPLIES: dict[str, type[FileReply]] = {
    "profile_file": ProfileReply,
    "classify_file": ClassifyReply,
    "mask_file": MaskReply,
    "generate_tables": GenerateReply,
    "synthesize_file": SynthesizeReply,
}
