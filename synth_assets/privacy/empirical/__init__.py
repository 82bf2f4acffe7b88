"""Attacks on our own releases: statistical lower bounds on what a mechanism really costs. Light: nothing is imported here."""
