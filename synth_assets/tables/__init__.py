"""Tables: schemas, sources, the engine, contracts and the one private read of the package."""
