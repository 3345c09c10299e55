"""Exceptions and warnings of confostain.

A message says what was given, what was expected, and what to do. The command line prints it as one line and exits
with code 2.
"""


class ConfostainError(Exception):
    """Base class of all errors that confostain raises on purpose."""


class SlideError(ConfostainError):
    """Slide or image that cannot be read, or is not what was expected."""


class OutputError(ConfostainError):
    """Result that cannot be written to the given path or in the given form."""


class ModelError(ConfostainError):
    """Model that does not exist, or whose weights or card cannot be used."""


class OptionError(ConfostainError):
    """Option or argument with a value that is not allowed."""


class ConfigError(ConfostainError):
    """Training configuration with an unknown key or a value that is not allowed."""


class ConfostainWarning(UserWarning):
    """Input that looks wrong; processing continues."""
