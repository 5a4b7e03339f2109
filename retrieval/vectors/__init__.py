"""Nearest neighbours: the FAISS index and its copy on disk."""
