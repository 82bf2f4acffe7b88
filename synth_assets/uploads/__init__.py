"""Files that people drop into the inbox: seen, found complete, taken once, kept or refused."""
