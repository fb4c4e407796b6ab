"""The ready-made image filters, in a package for each family and a module for each filter."""
