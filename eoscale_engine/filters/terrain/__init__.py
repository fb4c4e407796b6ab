"""Filters of elevation."""
