"""The ready-made image filters, one module for each family."""
