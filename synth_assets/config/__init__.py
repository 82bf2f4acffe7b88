"""Configuration: frozen pydantic models, loaded from YAML with errors that name file, line and key."""
