"""Speckle filters."""
