"""``./dev servers start|stop|status|logs``: the real servers that integration tests talk to, without Docker.

``place`` is where they live and on which ports, ``fetch`` gets their programs, ``supervise`` starts and ends
processes, and each server is one file that says what to run, when it is ready and under which address.
"""
