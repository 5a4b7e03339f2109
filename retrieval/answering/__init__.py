"""Questions about a picture, answered in a word: the built-in answerer, BLIP."""
