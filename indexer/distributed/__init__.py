"""Indexing with the processors of several machines, on Ray; the catalogue keeps its one writer."""
