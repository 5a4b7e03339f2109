"""Vector stores in databases: one way of following a catalogue, one module a database."""
