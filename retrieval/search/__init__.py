"""Asking an index: the engine, its stages and its answers."""
