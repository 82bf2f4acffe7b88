"""What the synthetic table adds to the differences between groups of people."""
