"""What the file of a picture holds beside its pixels."""
