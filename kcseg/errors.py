"""The one error a user can mend, and what others say of foreign files."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was expected, what came, where, and how to mend it."""


def reason_of(error: Exception) -> str:
    """Return what an error says as one short line."""
    return shortened(str(error)) or type(error).__name__


def shortened(text: str) -> str:
    """Return what others say as one short line; it may quote anything."""
    line = " ".join(text[:1000].split())[:200]
    return "".join(letter for letter in line if letter.isprintable())
