"""How things appear on a terminal or in a pipe."""
