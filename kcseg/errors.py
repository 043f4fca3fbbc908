"""The one error a user can mend."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was expected, what came, where, and how to mend it."""
