"""The index's vectors and facts as files that other programs read."""
