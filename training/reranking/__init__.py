"""The built-in reranker, trained on alone once the towers are finished."""
