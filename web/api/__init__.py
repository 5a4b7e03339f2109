"""The service's addresses, a module for each kind of thing."""
