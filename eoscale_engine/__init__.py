"""EOScale's engine: large images in shared memory, filtered and reduced in parallel, exactly.

NumPy and GDAL are all it needs. The public names are those of :mod:`eoscale_engine.context`
(``EOContextManager``), :mod:`eoscale_engine.executors` (EOScale's two functions),
:mod:`eoscale_engine.pipelines` and the declarations in ``filters``, ``reductions`` and
``procedures``.
"""
