"""Measuring retrieval on captioned pictures: readers of caption files and the protocol."""
