"""The library: one function per job, for people who import the package and have no Dagster instance.

`profile`, `classify`, `mask`, `mask_record`, `detokenise`, `generate`, `people`, `synthesize`, `sample`, `audit`, `encrypt`,
`decrypt`. Most take
a file or a pandas frame; those that make a table return a frame, or write `out` (its suffix sets the format) and return its path.
The command line and the Dagster jobs for files call these functions and nothing else. What does not belong here: how any of it is done.
"""

from synth_assets.api.auditing import audit
from synth_assets.api.describing import classify, profile
from synth_assets.api.generating import generate, people
from synth_assets.api.masking import mask, mask_record
from synth_assets.api.reading import Ingested
from synth_assets.api.sampling import Sample, sample
from synth_assets.api.sealing import Sealed, decrypt, encrypt
from synth_assets.api.spending import open_budget
from synth_assets.api.synthesizing import Synthesis, synthesize
from synth_assets.api.unmasking import detokenise, detokenise_column

__all__ = [
    "Ingested",
    "Sample",
    "Sealed",
    "Synthesis",
    "audit",
    "classify",
    "decrypt",
    "detokenise",
    "detokenise_column",
    "encrypt",
    "generate",
    "mask",
    "mask_record",
    "open_budget",
    "people",
    "profile",
    "sample",
    "synthesize",
]
