"""k-anonymity, l-diversity and t-closeness: quasi-identifiers coarsened together, with the least loss of information."""
