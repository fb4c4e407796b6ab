"""What a worker does with one tile: read blocks, apply the function, write in place."""
