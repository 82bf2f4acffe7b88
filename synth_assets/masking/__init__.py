"""Masking: classification and policy become one action per column, run as expressions inside the engine, checked for leaks."""
