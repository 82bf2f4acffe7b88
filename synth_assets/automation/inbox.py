"""The inbox: a sensor that turns each complete file into one partition of the `uploads` chain, and the job that it asks for.

On by default: a person who drops a file asks for the run.
"""

import time

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # no public name

from synth_assets.assets.observed import tell_of_sensor
from synth_assets.assets.uploads import CHAIN, UPLOADS
from synth_assets.automation.previews import PREVIEW, is_preview
from synth_assets.config.uploads import UploadsConfig
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.resources import InboxResource, KeyResource, StoreResource
from synth_assets.uploads.looks import name_digest
from synth_assets.uploads.opening import inbox_words
from synth_assets.uploads.taking import Scan, Taker

INTERVAL_SECONDS = 5
UPLOAD_TAG = "synth_assets/upload"  # the queue may be told how many of them run at once
FREE_STAGES = ("raw", "profile", "pii_classification", "masked")


def uploads_job(config: UploadsConfig) -> UnresolvedAssetJobDefinition:
    """The chain of one upload; without `spend` it ends with the masked table."""
    selection: dg.AssetSelection = dg.AssetSelection.groups(CHAIN)
    if not config.spend:
        stages = (dg.AssetSelection.tag("stage", stage) for stage in FREE_STAGES)
        wanted = next(stages)
        for stage in stages:
            wanted |= stage
        selection &= wanted | dg.AssetSelection.assets(dg.AssetKey([CHAIN, "audit_masked"]))
    return dg.define_asset_job(
        f"{CHAIN}_chain",
        selection=selection,
        run_tags={UPLOAD_TAG: "true"},
        description="The chain of one dropped file.",
    )


def inbox_sensor(config: UploadsConfig, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Its cursor holds sizes and times of change by keyed digests of the names; no name of a file leaves the restricted zone."""

    @dg.sensor(
        name="inbox",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Takes each complete file of the inbox, once. Every upload is a population of its own, and its chain spends that budget: "
            "`spend: false` in configs/uploads.yaml ends it with the masked table."
        ),
    )
    def sensor(
        context: dg.SensorEvaluationContext, store: StoreResource, inbox: InboxResource, key: KeyResource
    ) -> dg.SensorResult:
        preview = is_preview(context)
        try:
            with withhold_values("the sensor of the inbox"), libraries_silenced():
                if preview:
                    words = f"{PREVIEW}: nothing is taken; {inbox_words(inbox.settings())}"
                    return dg.SensorResult(skip_reason=words, cursor=context.cursor)
                place = inbox.open()
                known = context.instance.get_dynamic_partitions(CHAIN)
                digest = name_digest(key.open())
                taker = Taker(place, store.open(), config, known=known, digest=digest)
                found = taker.scan(context.cursor, now=time.time())
                if found.events:
                    inbox.ledger().record_all(found.events)
        except SynthAssetsError as error:
            if not preview:
                tell_of_sensor("inbox", error)
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        return _asked(found) if found.requests else dg.SensorResult(skip_reason=found.words(), cursor=found.cursor)

    return sensor


def _asked(found: Scan) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=r.run_key, partition_key=r.upload) for r in found.requests],
        dynamic_partitions_requests=[UPLOADS.build_add_request([r.upload for r in found.requests])],
        cursor=found.cursor,
    )
