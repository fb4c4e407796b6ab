"""The engine as a process of its own: host, client, protocol and the interpreter to run it with."""
