"""Following indexed folders as they change."""
