"""The marginal synthesizer: select and measure (the private part), fit and sample (from stored noisy tables alone)."""
