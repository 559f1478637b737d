"""The one error that bad input raises."""


class InputError(ValueError):
    """Input that cannot be used; the message is one line: where, what was found, what is accepted."""
