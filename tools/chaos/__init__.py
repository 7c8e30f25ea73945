"""``./dev chaos``: everything is killed, paused, cut off and filled up while a known input flows; then what came out is
compared with what one undisturbed process makes of the same input.

``schedule`` draws the faults from a seed and ``faults`` brings them about on servers (``ground``), links and processes
(``product``) of the run's own; ``watching`` times recoveries, ``subscribers`` listen, ``facts`` collects both sides and
``differences`` compares them. ``mutants`` are runtimes with one promise broken, to show that a run notices.
"""
