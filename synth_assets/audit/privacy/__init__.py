"""Attacks on the synthetic table, each against a control group of people who were not in the data."""
