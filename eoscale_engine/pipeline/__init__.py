"""The parts of :class:`~eoscale_engine.context.EOContextManager`: plans, runs, its images, views."""
