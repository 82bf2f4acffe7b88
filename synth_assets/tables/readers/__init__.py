"""Readers: one file per kind of source. Each stages its rows as Parquet with columns c0, c1, ...; types are decided later."""
