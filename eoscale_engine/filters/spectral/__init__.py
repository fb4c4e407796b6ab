"""Spectral indices: the formulas as data, and which band plays which role."""
