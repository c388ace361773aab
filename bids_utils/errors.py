"""Errors a user can act on; anything else is a bug and keeps its traceback."""

DONE, FAILED, SOME_FAILED, NOTHING_TO_DO = 0, 1, 10, 11
"""Exit codes of the command, besides those of the errors below."""


class PipelineError(Exception):
    """The run failed; the message says what was found, where, and what to do."""

    exit_code = FAILED


class SettingsError(PipelineError):
    """The settings file or the command line asks for something impossible."""

    exit_code = 2


class DatasetError(PipelineError):
    """A file of the dataset is missing, unreadable or contradicts another."""

    exit_code = 3


class ToolError(PipelineError):
    """An engine (registration, bias correction, ...) failed or gave an implausible answer."""

    exit_code = 4
