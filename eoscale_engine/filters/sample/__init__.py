"""The sample scene."""
