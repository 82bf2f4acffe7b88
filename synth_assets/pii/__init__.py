"""PII and PHI: which column holds what about whom, how sure we are, and why. Detectors, evidence, verdicts, text cells."""
