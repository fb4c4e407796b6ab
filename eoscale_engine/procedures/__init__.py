"""Ready-made procedures: filters and reductions composed over several passes."""
