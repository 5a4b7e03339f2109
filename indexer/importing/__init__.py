"""Vectors that other programs made, taken into an index without encoding anything."""
