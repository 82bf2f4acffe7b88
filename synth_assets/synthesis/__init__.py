"""Synthesis: a differentially private marginal model over single and related tables, and SDV behind the same protocol."""
