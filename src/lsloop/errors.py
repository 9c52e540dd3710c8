"""What can go wrong, in two sentences each.

They say what happened to which thing, and what to do next. Neither holds a secret, whatever a library put
into its words.
"""

from lsloop.secrecy import without_secrets


class LsloopError(Exception):
    """An error: something failed, and `fix` is the next action.

    `exit_code` is what the command line answers.
    """

    exit_code = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = without_secrets(problem)
        self.fix = without_secrets(fix)
        super().__init__(self.problem)


class UsageError(LsloopError):
    """The command or the configuration is wrong; nothing was attempted."""

    exit_code = 2


class Unreachable(LsloopError):
    """A service (PostgreSQL, Label Studio) does not answer."""

    exit_code = 3


class Uncertain(Unreachable):
    """A request was sent and no good answer came back.

    The service may or may not have done the work.
    """

    answered = False  # whether it answered that it failed: then it is not at work on it any more


class Refused(LsloopError):
    """A service answered no; nothing was changed there."""


class Unfit(LsloopError):
    """PostgreSQL cannot hold what was to be written; nothing was."""


class Unauthorised(UsageError):
    """A service does not accept the credentials it was given."""


class Entangled(LsloopError):
    """Two transactions waited for each other, and this one was ended for it.

    Nothing of it was done.
    """


class SchemaMismatch(UsageError):
    """The program and the ledger's schema are of different versions."""


class Skipped(LsloopError):
    """There is nothing here to check."""
