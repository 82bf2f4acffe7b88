"""The verdict beside an artifact: what has failed its blocking checks is read by reports alone (docs/adr/0006)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    return _of_this_content(store, zone, dataset, asset, verdict)


def read_judged(store: ArtifactStore, zone: Zone, dataset: str, asset: str) -> tuple[ArtifactRef, tuple[str, ...]]:
    """The current artifact of an asset, whatever its verdict: for the leaderboard and the report, which say what has failed.

    Nothing that hands out rows may use it.

    Returns:
        The artifact, and the blocking checks that it failed.

    Raises:
        MissingArtifactError: the asset was never materialised.
        ReleaseRefusedError: it has no verdict, or one of other content (what failed was thrown away).
    """
    verdict = store.read_note(zone, dataset, asset, VERDICT)
    ref = _of_this_content(store, zone, dataset, asset, verdict)
    return ref, tuple(verdict["failed"]) if verdict is not None else ()


def _of_this_content(
    store: ArtifactStore, zone: Zone, dataset: str, asset: str, verdict: Mapping[str, Any] | None
) -> ArtifactRef:
    ref = store.current(zone, dataset, asset)
    if verdict is None or verdict["content_hash"] != ref.content_hash:
        raise ReleaseRefusedError(
            f"{dataset}/{asset} has no verdict for its current content.", remedy=f"Materialise {dataset}/{asset} again."
        )
    return ref
