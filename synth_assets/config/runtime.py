"""Settings of one installation: the home folder and what the environment adds. Read once at the entry point, then passed on.

Everything has an embedded default below `<home>/var`. PostgreSQL and S3 come from environment variables only; `.env.example`
lists them all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from synth_assets.config.dataset import DatasetConfig
from synth_assets.config.hooks import Hooks, hooks_of_environment
from synth_assets.config.load import load_dataset
from synth_assets.errors import ConfigError
from synth_assets.storage.objects import ObjectFolder, folder_of
from synth_assets.storage.postgres import url_of

HOME_MARKER = "dagster.yaml"
LEAST_AUDIT = 10_000
JOB_FOLDERS_VARIABLE = "SYNTH_ASSETS_JOB_FOLDERS"
LOGS_VARIABLE = "SYNTH_ASSETS_S3_LOGS"
PRIVATE_HOME = ".synth_assets"


@dataclass(frozen=True)
class Settings:
    """Where things are.

    Args:
        home: Folder with dagster.yaml, configs/ and var/.
        postgres_url: Dagster's storage and the ledgers, instead of SQLite files.
        vault_url: The vault of `tokenise`, instead of a SQLite file; a database of its own.
        s3_zones: Zone name to its place in S3, for zones that do not live on the local disk.
        memory_limit: Limit of the table engine.
        threads: Threads of the table engine; None means all cores.
        engine: What runs the tables: "duckdb", in this process, or "spark".
        spark_master: Address of the Spark master, where the engine is spark.
        spark_conf: Entries of Spark's configuration.
        project: Name of this installation in the audit ledger.
        exchange: Where clients and the service hand each other sealed files: a folder or s3://bucket/prefix; None for one below var/.
        audit_repetitions: Repetitions of the attack on the noise of a DP release, before it is made.
        inbox: Folder or place in S3 where files are dropped; the folder `inbox` of the home when None.
        job_folders: Folders outside of the home that jobs on files may read and write.
        encryption: Whether the restricted zone is encrypted where it lies.
        encryption_required: Whether what is plain in it is refused even where the zone has lost the mark that says so.
        work_folder: Where its files are plain while a process works on them, instead of memory; for tables larger than that.
        hooks: Whom steps and failures are told besides Dagster.
    """

    home: Path
    postgres_url: str | None = field(default=None, repr=False)
    vault_url: str | None = field(default=None, repr=False)
    s3_zones: Mapping[str, ObjectFolder] = field(default_factory=dict)
    memory_limit: str = "2GB"
    threads: int | None = None
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark_master: str | None = None
    spark_conf: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    exchange: str | None = None
    audit_repetitions: int = 1_000_000
    encryption: bool = True
    encryption_required: bool = False
    work_folder: Path | None = None
    project: str = "default"
    inbox: Path | ObjectFolder | None = None
    job_folders: tuple[Path, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)

    @classmethod
    def from_environment(cls, home: Path) -> Settings:
        """Read the variables of `.env.example`.

        Raises:
            ConfigError: a variable is malformed; the message names it.
        """
        places = {zone: folder_of(f"SYNTH_ASSETS_S3_{zone.upper()}") for zone in ("restricted", "masked", "release")}
        folder_of(LOGS_VARIABLE)  # Dagster reads it
        threads = os.environ.get("SYNTH_ASSETS_THREADS")
        if threads is not None and not threads.isdigit():
            raise ConfigError("the environment variable SYNTH_ASSETS_THREADS is not a whole number.")
        repetitions = os.environ.get("SYNTH_ASSETS_AUDIT_REPETITIONS", str(cls.audit_repetitions))
        if not repetitions.isdigit() or int(repetitions) < LEAST_AUDIT:
            raise ConfigError(
                f"the environment variable SYNTH_ASSETS_AUDIT_REPETITIONS is no whole number from {LEAST_AUDIT:,} on."
            )
        engine, master = _engine()
        return cls(
            home=home.resolve(),
            postgres_url=url_of("SYNTH_ASSETS_POSTGRES_URL"),
            vault_url=url_of("SYNTH_ASSETS_VAULT_URL"),
            s3_zones={zone: place for zone, place in places.items() if place is not None},
            memory_limit=os.environ.get("SYNTH_ASSETS_MEMORY_LIMIT", "2GB"),
            threads=int(threads) if threads else None,
            engine=engine,
            spark_master=master,
            spark_conf=_spark_conf(),
            exchange=_exchange(),
            audit_repetitions=int(repetitions),
            encryption=(encryption := _encryption()) != "off",
            encryption_required=encryption == "required",
            work_folder=_work_folder(),
            project=_project(),
            inbox=_inbox(),
            job_folders=_job_folders(),
            hooks=hooks_of_environment(),
        )

    @property
    def var(self) -> Path:
        """Everything that runs make."""
        return self.home / "var"

    @property
    def keys_folder(self) -> Path:
        """Keys made on first use, mode 0700."""
        return self.var / "keys"

    @property
    def ledger_location(self) -> str:
        """SQLAlchemy URL of the budget ledger and the audit ledger: PostgreSQL where one is set, else a SQLite file."""
        return self.postgres_url or f"sqlite:///{self.var / 'ledger' / 'budget.db'}"

    @property
    def actors_location(self) -> str:
        """SQLAlchemy URL of the list of who is behind the names in the audit ledger, which can be deleted without it."""
        return self.postgres_url or f"sqlite:///{self.var / 'ledger' / 'actors.db'}"

    @property
    def access_location(self) -> str:
        """SQLAlchemy URL of the record of who asked for the values of tokens."""
        return self.postgres_url or f"sqlite:///{self.var / 'ledger' / 'access.db'}"

    @property
    def vault_location(self) -> str:
        """SQLAlchemy URL of the vault, which belongs to the restricted zone and is in no artifact's folder: `make clean` keeps it."""
        return self.vault_url or f"sqlite:///{self.var / 'vault' / 'vault.db'}"

    @property
    def configs_folder(self) -> Path:
        """Datasets, schemas and policies of the user's own."""
        return self.home / "configs"

    @property
    def datasets_folder(self) -> Path:
        """One YAML per dataset."""
        return self.configs_folder / "datasets"


def _exchange() -> str | None:
    place = os.environ.get("SYNTH_ASSETS_EXCHANGE")
    if place is not None and not place.startswith(("s3://", "/")):
        raise ConfigError(
            "the environment variable SYNTH_ASSETS_EXCHANGE is neither an absolute folder nor s3://bucket/prefix."
        )
    return place


def _encryption() -> str:
    said = os.environ.get("SYNTH_ASSETS_ENCRYPTION", "on")
    if said not in {"on", "off", "required"}:
        raise ConfigError("the environment variable SYNTH_ASSETS_ENCRYPTION is neither on, required nor off.")
    return said


def _work_folder() -> Path | None:
    said = os.environ.get("SYNTH_ASSETS_WORK_FOLDER")
    if said is not None and not Path(said).is_absolute():
        raise ConfigError("the environment variable SYNTH_ASSETS_WORK_FOLDER is no absolute path.")
    return None if said is None else Path(said)


def _engine() -> tuple[Literal["duckdb", "spark"], str | None]:
    name, master = os.environ.get("SYNTH_ASSETS_ENGINE", "duckdb"), os.environ.get("SYNTH_ASSETS_SPARK_MASTER")
    if name == "duckdb":
        return "duckdb", master
    if name != "spark":
        raise ConfigError("the environment variable SYNTH_ASSETS_ENGINE is neither duckdb nor spark.")
    if not master:
        raise ConfigError(
            "SYNTH_ASSETS_ENGINE is spark, and the environment variable SYNTH_ASSETS_SPARK_MASTER is not set.",
            remedy="Set it to the address of the master, such as spark://host:7077, yarn, or local[*] for a trial.",
        )
    return "spark", master


def _project() -> str:
    name = os.environ.get("SYNTH_ASSETS_PROJECT", "default")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ConfigError(
            "the environment variable SYNTH_ASSETS_PROJECT is no name of lower-case letters, digits, _ and -."
        )
    return name


def _inbox() -> Path | ObjectFolder | None:
    place = os.environ.get("SYNTH_ASSETS_INBOX")
    if place is None or place.startswith("s3://"):
        return folder_of("SYNTH_ASSETS_INBOX")
    if not Path(place).is_absolute():
        raise ConfigError(
            "the environment variable SYNTH_ASSETS_INBOX is neither an absolute path nor of the form s3://bucket/prefix."
        )
    return Path(place)


def _job_folders() -> tuple[Path, ...]:
    folders = [part.strip() for part in os.environ.get(JOB_FOLDERS_VARIABLE, "").split(",") if part.strip()]
    if not all(Path(folder).is_absolute() for folder in folders):
        raise ConfigError(f"the environment variable {JOB_FOLDERS_VARIABLE} holds a path that is not absolute.")
    return tuple(Path(folder).resolve() for folder in folders)


def _spark_conf() -> tuple[tuple[str, str], ...]:
    """`spark.executor.memory=8g; spark.sql.shuffle.partitions=200` as pairs."""
    pairs = [p.strip() for p in os.environ.get("SYNTH_ASSETS_SPARK_CONF", "").split(";") if p.strip()]
    found = []
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key.startswith("spark."):
            raise ConfigError(
                "the environment variable SYNTH_ASSETS_SPARK_CONF is not of the form spark.key=value; spark.key=value."
            )
        found.append((key, value))
    return tuple(found)


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset and the file that it came from; relative paths in it are relative to that file's folder."""

    config: DatasetConfig
    file: Path

    @property
    def folder(self) -> Path:
        """Base of the relative paths."""
        return self.file.parent


def find_home(start: Path) -> Path:
    """The nearest folder at or above `start` with a dagster.yaml, else `start/.synth_assets`."""
    for folder in (start, *start.parents):
        if (folder / HOME_MARKER).is_file():
            return folder
    return start / PRIVATE_HOME


def load_datasets(settings: Settings) -> tuple[LoadedDataset, ...]:
    """Every dataset of `configs/datasets` and every one that `synth-assets run` has registered, by name.

    Raises:
        ConfigError: a file does not fit the model, or two files carry one name.
    """
    found: dict[str, LoadedDataset] = {}
    for file in _dataset_files(settings):
        loaded = LoadedDataset(load_dataset(file), file)
        name = loaded.config.name
        if name in found:
            raise ConfigError(
                f"the dataset name {name!r} is also used by {found[name].file}.", file=str(file), key="name"
            )
        found[name] = loaded
    return tuple(found[name] for name in sorted(found))


def check_engine(settings: Settings, datasets: Sequence[LoadedDataset]) -> None:
    """Refuse what Spark cannot do, before any step has read anything.

    Raises:
        ConfigError: the engine is Spark, and PySpark is not installed, or a dataset asks for a detector that does not run there.
    """
    if settings.engine != "spark":
        return
    if find_spec("pyspark") is None:
        raise ConfigError(
            "the engine is spark, and PySpark is not installed.",
            key="SYNTH_ASSETS_ENGINE",
            remedy="Install the extra: pip install 'synth-assets[spark]'.",
        )
    if settings.encryption and settings.work_folder is None and not str(settings.spark_master).startswith("local"):
        raise ConfigError(
            "the restricted zone is encrypted, and a Spark cluster's workers cannot read what this process decrypts into memory.",
            key="SYNTH_ASSETS_WORK_FOLDER",
            remedy="Set SYNTH_ASSETS_WORK_FOLDER to an encrypted folder that this process and all workers see, "
            "or SYNTH_ASSETS_ENCRYPTION=off where the storage encrypts.",
        )
    for dataset in datasets:
        if dataset.config.text_detector != "builtin":
            raise ConfigError(
                "masking on Spark searches texts with the built-in detector only.",
                file=str(dataset.file),
                key="text_detector",
                remedy="Use `text_detector: builtin`, or SYNTH_ASSETS_ENGINE=duckdb.",
            )


def _dataset_files(settings: Settings) -> list[Path]:
    files = sorted(settings.datasets_folder.glob("*.yaml")) if settings.datasets_folder.is_dir() else []
    return files + [f for f in registered(settings) if f.is_file() and f not in files]


def registered(settings: Settings) -> tuple[Path, ...]:
    """Dataset files outside `configs/datasets` that were run in this home, so that the UI shows them as well."""
    path = settings.var / "datasets.json"
    return tuple(Path(p) for p in json.loads(path.read_text())) if path.is_file() else ()


def register(settings: Settings, file: Path) -> None:
    """Remember a dataset file outside `configs/datasets`.

    Raises:
        ConfigError: another file of this home has a dataset of the same name; both would write the same artifacts.
    """
    from synth_assets.storage.atomic import write_text

    file = file.resolve()
    if file.parent == settings.datasets_folder.resolve():
        return
    known = registered(settings)
    _refuse_namesake(settings, file)
    if file not in known:
        write_text(settings.var / "datasets.json", json.dumps([str(p) for p in (*known, file)], indent=1))


def _refuse_namesake(settings: Settings, file: Path) -> None:
    name = load_dataset(file).name
    for other in _dataset_files(settings):
        try:
            taken = other.resolve() != file and load_dataset(other).name == name
        except ConfigError:
            continue  # another file's mistake is no reason to refuse this one
        if taken:
            raise ConfigError(
                f"the dataset name {name!r} is also used by {other}.",
                file=str(file),
                key="name",
                remedy="Give one of them another name, or another home with --home.",
            )
