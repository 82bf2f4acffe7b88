"""synth_assets: software-defined assets from a personal-data table to masked and private synthetic tables.

Nothing heavy is imported here: `import synth_assets` must stay cheap, since Dagster imports it in every process.
"""

__version__ = "0.1.0"
