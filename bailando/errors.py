"""Errors that a user can act on.

Every failure that a user can cause or cure is a `BailandoError`: one line that says what was got,
what was expected and what to do. The commands print that line and exit with `exit_code`; no
traceback reaches the user. Anything else that escapes is a bug of ours.
"""

from __future__ import annotations


class BailandoError(Exception):
    """Base of all errors meant for the user's eyes; the message is one line."""

    exit_code = 2


class InputError(BailandoError):
    """A file or stream that cannot be used: missing, empty, too long, corrupt, wrong kind."""


class ConfigError(BailandoError):
    """An option or configuration key that is unknown or out of range."""


class BundleError(BailandoError):
    """A bundle that is missing, corrupt, hostile, foreign or of an unknown schema version."""


class DeviceError(BailandoError):
    """An audio device or audio library that is missing or failed."""


class OutputError(BailandoError):
    """A destination that cannot be written to or sent to."""


class ExportError(BailandoError):
    """An exported graph that failed validation or a checkpoint that cannot be exported."""
