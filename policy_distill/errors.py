"""The two ways a run can end badly: a wrong request (the caller mends it) and a fault during the run."""


class RequestError(ValueError):
    """A request that cannot be met as asked; the command line turns it into one line and exit status 2.

    The message says what was expected, what was found, and what to do next.
    """


class RunFault(RuntimeError):
    """A run that had to stop: an environment or a network misbehaved. Exit status 1; the message says where."""
