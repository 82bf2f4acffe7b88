"""Factories of the assets, one module per stage. Thin: they name, wire, describe and gate; the work is in the domain packages."""
