"""What can be told of a whole collection: copies, themes, labels."""
