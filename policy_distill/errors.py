"""The two ways a run can end badly: a wrong request (the caller mends it) and a fault during the run."""

MAX_MESSAGE = 1000


def one_line(text: str) -> str:
    """Return text without line ends, escape sequences and other characters that a terminal would obey."""
    line = "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text)
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}…"


class RequestError(ValueError):
    """A request that cannot be met as asked; the command line turns it into one line and exit status 2.

    The message says what was expected, what was found, and what to do next. Names in it may come from a foreign file.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RunFault(RuntimeError):
    """A run that had to stop: an environment or a network misbehaved. Exit status 1; the message says where."""
