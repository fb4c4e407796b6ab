"""``python -m eoscale_engine``: the engine process, talked to in JSON lines over its pipes."""

from __future__ import annotations

from eoscale_engine.service.protocol import private_pipes

if __name__ == "__main__":
    # before anything is imported that could print, or start a process that inherits the pipes
    pipes = private_pipes()

    from eoscale_engine.workers.forkserver import start_forkserver

    start_forkserver()

    from eoscale_engine.service.host import serve

    serve(*pipes)
