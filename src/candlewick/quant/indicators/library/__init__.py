"""One file per indicator, each with a ``SPEC``; the registry finds them, no list names them."""
