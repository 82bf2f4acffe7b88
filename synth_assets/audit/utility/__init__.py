"""What a model, or a query, loses when it sees synthetic rows in place of real ones."""
