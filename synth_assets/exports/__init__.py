"""Exports: a table of the chain as a file for somebody else. Formats only; whether a table may leave is decided by its verdicts."""
