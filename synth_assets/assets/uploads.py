"""The chain of dropped files: the chain of a dataset, with one partition per upload.

A step looks up the dataset of its partition and runs the same stage as every dataset does. Artifacts, lease and budget belong to the
upload's own name; the asset keys are shared.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.decorators.op_decorator import (
    DecoratedOpFunction,
)  # the body of an op has no public name

from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.chain import build_dataset
from synth_assets.assets.stage import Event
from synth_assets.config.runtime import LoadedDataset
from synth_assets.config.uploads import FILE, UploadsConfig
from synth_assets.ledger import asking
from synth_assets.resources import InboxResource, StoreResource
from synth_assets.uploads.notes import ASSET
from synth_assets.uploads.upload import Upload

CHAIN = "uploads"
UPLOADS = dg.DynamicPartitionsDefinition(name=CHAIN)

Body = Callable[..., Iterator[Event]]


def build_uploads(
    config: UploadsConfig, configs_folder: Path | None = None, key_fingerprint: str = ""
) -> list[dg.AssetsDefinition]:
    """Every asset of the chain of uploads.

    Args:
        config: What every upload runs through.
        configs_folder: The project's `configs` folder.
        key_fingerprint: Of the master key, see `storage.secrets.key_fingerprint`.
    """
    chain = _UploadChain(config, configs_folder, key_fingerprint)
    return [chain.partitioned(asset) for asset in chain.assets(CHAIN, None)]


class _UploadChain:
    def __init__(self, config: UploadsConfig, configs_folder: Path | None, key_fingerprint: str) -> None:
        self.config, self.configs_folder, self.key_fingerprint = config, configs_folder, key_fingerprint
        self._running = lru_cache(maxsize=2)(self._look_up)  # the steps of a run follow each other in one process

    def assets(self, name: str, upload: Upload | None) -> list[dg.AssetsDefinition]:
        """The chain as a dataset of this name has it."""
        folder = self.configs_folder or Path()
        loaded = LoadedDataset(self.config.dataset(name), folder / FILE)
        return build_dataset(loaded, self.configs_folder, self.key_fingerprint, chain=CHAIN, upload=upload)

    def _look_up(self, upload: Upload | None, name: str) -> dict[str, Body]:
        return {_step(asset, name): _body(asset) for asset in self.assets(name, upload)}

    def _upload(self, store: StoreResource, inbox: InboxResource, name: str) -> Upload:
        return Upload(name, store.open(), inbox.open, self.config, inbox.ledger().record)

    def partitioned(self, asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        """An asset whose step runs the stage of its partition's dataset."""
        step, raw = _step(asset, CHAIN), any(k.path[-1] == ASSET for k in asset.keys)
        needed = set(asset.op.required_resource_keys)

        @dg.multi_asset(
            name=f"{CHAIN}__{step}",
            pool=CHAIN,
            specs=[spec.replace_attributes(partitions_def=UPLOADS) for spec in asset.specs],
            check_specs=list(asset.check_specs),
            required_resource_keys=needed | ({"inbox"} if raw else set()),
        )
        def upload_step(context: dg.AssetExecutionContext) -> Iterator[Event]:
            resources = context.resources
            with stage_boundary(f"{context.partition_key}/{step}"):
                asking.begin(context.run_id, context.run_tags)
                name = context.partition_key
                upload = self._upload(resources.store, resources.inbox, name) if raw else None
                body = self._running(upload, name)[step]
                work = partial(body, context, **{key: getattr(resources, key) for key in needed})
                events = list(work()) if upload is None else _filed(work, upload)
            yield from events

        return upload_step


def _filed(work: Callable[[], Iterator[Event]], upload: Upload) -> list[Event]:
    """Run the step of the raw table; the dropped file goes where it belongs then."""
    try:
        events = list(work())
    except dg.Failure as failure:
        upload.refuse(cast("dict[str, Any]", failure.metadata["error"].value))
        raise failure from None
    upload.stored()
    return events


def _step(asset: dg.AssetsDefinition, name: str) -> str:
    return asset.op.name.removeprefix(f"{name}__")


def _body(asset: dg.AssetsDefinition) -> Body:
    return cast("Body", cast("DecoratedOpFunction", asset.op.compute_fn).decorated_fn)
