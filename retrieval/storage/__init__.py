"""Where an index lies on disk, and what is kept there beside the catalogue."""
