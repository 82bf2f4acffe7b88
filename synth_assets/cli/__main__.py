"""`python -m synth_assets.cli`."""

from synth_assets.cli import main

main()
