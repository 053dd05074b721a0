"""The one error of the test bed."""


class BedError(Exception):
    """Something the test bed needs is missing or did not happen; the message ends with the remedy."""
