"""The verdict beside an artifact: what has failed its blocking checks is read by nobody (docs/adr/0006)."""

from __future__ import annotations

from synth_assets.errors import ReleaseRefusedError
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone

VERDICT = "verdict"


def read_verified(store: ArtifactStore, zone: Zone, dataset: str, asset: str) -> ArtifactRef:
    """The current artifact of an asset, only if its latest verdict is a pass and speaks of the same content.

    Raises:
        MissingArtifactError: the asset was never materialised.
        ReleaseRefusedError: its latest materialisation failed, or has no verdict.
    """
    verdict = store.read_note(zone, dataset, asset, VERDICT)
    if verdict is not None and not verdict["passed"]:
        raise ReleaseRefusedError(
            f"{dataset}/{asset} failed its blocking check {', '.join(verdict['failed'])}; nothing downstream may read it.",
            remedy=f"Mend the cause and materialise {dataset}/{asset} again.",
        )
    ref = store.current(zone, dataset, asset)
    if verdict is None or verdict["content_hash"] != ref.content_hash:
        raise ReleaseRefusedError(
            f"{dataset}/{asset} has no verdict for its current content.", remedy=f"Materialise {dataset}/{asset} again."
        )
    return ref
