"""Privacy numbers: noise, accounting, calibration, levels, the budget ledger. Cannot see data."""
