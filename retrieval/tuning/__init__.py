"""Training an encoder on one's own captions: heads, low-rank updates or all of it.

Needs torch, which loads with the modules that use it; nothing that answers a question imports
this package.
"""
