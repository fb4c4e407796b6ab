"""What a worker does with one tile: read blocks, apply the declaration's function, write in place."""
