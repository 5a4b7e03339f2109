"""What a browser sees: pages made from answers."""
