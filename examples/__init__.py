"""Small programs that use the library."""
