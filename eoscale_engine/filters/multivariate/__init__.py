"""Filters that a fit over all bands sets up."""
