"""Faults on purpose: the program killed, or its disk failing, at a chosen system call."""
