"""The one error a user can mend, and what others say of foreign files."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was expected, what came, where, and how to mend it."""


def reason_of(error: Exception) -> str:
    """Return what an error says as one short line; of foreign bytes it may quote anything."""
    text = " ".join(str(error).split())[:200]
    return "".join(letter for letter in text if letter.isprintable()) or type(error).__name__
