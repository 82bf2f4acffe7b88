"""How close the synthetic tables are to the real ones: marginals, columns, rules, relations, sequences."""
