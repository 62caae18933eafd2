"""The one base class of errors that a user can mend. A job prints such an error without a stack trace."""


class RapportError(Exception):
    """Something the caller can put right: the message tells the value seen, the value wanted and the setting to change."""
