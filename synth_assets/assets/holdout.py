"""Public forms of audits, counted per hold-out: who is held out, and the number of each form before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from synth_assets.assets.split import HOLDOUT
from synth_assets.assets.stage import Stage
from synth_assets.errors import MissingArtifactError
from synth_assets.resources import FormsResource
from synth_assets.storage.artifacts import ArtifactRef

if TYPE_CHECKING:
    from synth_assets.audit.records import AuditResult


def numbering(
    stage: Stage, split: ArtifactRef, asset: str, forms: FormsResource
) -> Callable[[AuditResult], AuditResult]:
    """What gives a result the number of its public form; a form that was counted before keeps its number.

    Args:
        stage: The running step.
        split: The split whose hold-out is looked at.
        asset: The asset that holds the result.
        forms: The count.

    Raises:
        MissingArtifactError: an older version of the package made the split.
    """
    from synth_assets.audit.holdout_forms import form_of, numbered
    from synth_assets.privacy.public_forms import PublicForm

    dataset = stage.config.name
    if HOLDOUT not in split.info:
        raise MissingArtifactError(
            f"the split of {dataset} does not say who is held out: an older version made it.",
            remedy=f"Materialise {dataset}/split again; nothing is spent where its rows are the same.",
        )
    opened = forms.open()

    def number(result: AuditResult) -> AuditResult:
        form = PublicForm(
            str(split.info[HOLDOUT]), form_of(result), f"{dataset}/{asset}", dataset, stage.context.run_id
        )
        return numbered(result, opened.issue(form))

    return number
