"""Dual encoders: pictures and texts to vectors of one space."""
