"""Questions in other languages than the model's own: told apart, and encoded into its space."""
