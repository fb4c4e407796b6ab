"""The parts of the context manager: plans, runs, images and their views."""
