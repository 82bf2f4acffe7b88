"""Blocking checks: their names, known from the configuration, and their outcomes, computed from results."""
