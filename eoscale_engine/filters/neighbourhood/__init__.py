"""Filters of the pixels around each pixel, and what they share."""
