"""Audit of a synthetic table: fidelity, utility, privacy, fairness. It sees tables, never the model that made them."""
