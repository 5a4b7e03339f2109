"""Fusing scores, features and modalities: the mathematics, without an index."""
