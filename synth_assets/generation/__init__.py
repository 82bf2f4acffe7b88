"""Tables from a schema alone, and fresh identities. The face of the package; each function imports its module when called."""
