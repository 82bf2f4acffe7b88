"""Transactional stores of the ledgers. Knows no table and holds no data value."""
