"""Who works on this machine, where that may have no name."""

import getpass
import os


def user() -> str:
    """The name of the user.

    `uid 1000190000` where neither the environment nor the list of users names one.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an OSError since Python 3.13
        return f"uid {os.getuid()}"
