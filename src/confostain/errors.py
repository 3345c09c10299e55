"""Every error that confostain raises on purpose.

A message says what was given, what was expected, and what to do. The command line prints it as one line
and exits with code 2.
"""


class ConfostainError(Exception):
    """Base of all errors raised by confostain."""


class SlideError(ConfostainError):
    """A slide or image cannot be read, or is not what was expected."""


class OutputError(ConfostainError):
    """A result cannot be written where and as asked."""


class ModelError(ConfostainError):
    """A model does not exist, or its weights or card cannot be used."""


class OptionError(ConfostainError):
    """An option or an argument has a value outside what is allowed."""


class ConfigError(ConfostainError):
    """A training configuration has an unknown key or a value outside what is allowed."""


class ConfostainWarning(UserWarning):
    """Something about the input looks wrong, and the work goes on."""
