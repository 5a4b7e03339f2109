"""What is asked, as data: filter conditions, and the text that people write them in."""
