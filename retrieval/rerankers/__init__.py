"""Rerankers: models that look at a question and its best candidates again, together."""
