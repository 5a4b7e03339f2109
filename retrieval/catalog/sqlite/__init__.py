"""What is particular to a catalogue in an SQLite file."""
