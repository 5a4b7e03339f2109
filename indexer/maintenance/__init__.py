"""Checking, fixing, backing up and repairing an index."""
