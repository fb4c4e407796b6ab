"""Filters of class images, and the labelling of objects."""
