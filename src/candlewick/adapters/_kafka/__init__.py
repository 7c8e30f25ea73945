"""What every adapter on Kafka shares: settings of clients, names, questions to the brokers, errors."""

import warnings
from importlib import import_module


def _quiet() -> None:
    """The client's registry part imports authlib, which speaks to its own developers about its dependencies on
    everybody's standard error, and sees to it at its import that nobody has turned that off before."""
    try:
        category = import_module("authlib.deprecate").AuthlibDeprecationWarning
    except (ImportError, AttributeError):
        return
    warnings.filterwarnings("ignore", category=category, module=r"authlib\.")


_quiet()
