"""How long one that writes to a server's catalogue is waited for when it gives no sign of life."""

# Its files are then taken by others, and what it had begun to write is undone.
LEASE_S = 60.0
