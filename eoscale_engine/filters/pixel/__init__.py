"""Filters that look at one pixel at a time, in one or more images."""
