"""Profiling: statistics of one table, its associations, what singles people out, and pictures of these."""
