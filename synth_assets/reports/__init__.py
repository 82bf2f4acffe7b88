"""Reports: what was done and what came out, in plain words, from public forms only. No table and no engine is in reach here."""
