"""Ready-made reductions: N images -> values, found cell by cell and merged in a fixed order."""
