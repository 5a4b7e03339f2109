"""The commands, one to a module; each module's `command` is what `cli.main` runs."""
