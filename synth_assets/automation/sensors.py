"""The source sensor: runs a dataset's chain when a configured source has new content. Off by default.

Where the YAML says `refresh: free` it asks for the raw tables alone, which spends nothing; the conditions see to what stands below.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # no public name

from synth_assets.asset_keys import DatasetKeys
from synth_assets.assets.observed import tell_of_sensor
from synth_assets.config.runtime import LoadedDataset
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.storage.hashing import hash_parts

INTERVAL_SECONDS = 60


def source_sensor(dataset: LoadedDataset, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """One sensor per dataset; its cursor is a hash over the fingerprints of all sources."""
    name = dataset.config.name
    keys = DatasetKeys(dataset.config)
    raw = [keys.key(keys.raw(t)) for t in dataset.config.tables] if dataset.config.refresh == "free" else None
    what = "Runs the chain of" if raw is None else "Reads the tables of"

    @dg.sensor(
        name=f"{name}_source",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"{what} `{name}` when one of its sources has new content.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            with withhold_values(f"the source sensor of {name}"), libraries_silenced():
                content = fingerprint(dataset)
        except SynthAssetsError as error:
            tell_of_sensor(f"{name}_source", error, dataset=name)
            return dg.SkipReason(f"a source cannot be read: {error}")
        if content == context.cursor:
            return dg.SkipReason("no source has new content")
        request = dg.RunRequest(run_key=f"{name}:{content}", asset_selection=raw)
        return dg.SensorResult(run_requests=[request], cursor=content)

    return sensor


def fingerprint(dataset: LoadedDataset) -> str:
    """Hash over the content of every source of a dataset."""
    from synth_assets.tables.sources import source_fingerprint

    parts: list[str] = []
    for table, config in dataset.config.tables.items():
        schema = config.source.generate
        content = (
            (dataset.folder / schema).read_bytes() if schema else source_fingerprint(config.source, dataset.folder)
        )
        parts += [table, hash_parts(content)]
    return hash_parts(*parts)
