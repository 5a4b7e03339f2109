"""One indexing run, stage by stage."""
