"""The verdicts of Label Studio's own parser on label configs and predictions.

The SDK is imported only when it is asked.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

from lsloop.errors import UsageError


def check_config(config: str) -> None:
    """Raise UsageError naming what Label Studio would refuse in a label config."""
    _parsed(config)


def check_predictions(config: str, predictions: Sequence[dict[str, Any]]) -> list[list[str]]:
    """List for each prediction what is wrong with it; empty where it fits the config.

    Label Studio stores predictions unchecked unless it is told otherwise, and its page then shows an
    empty task. Raises UsageError as `check_config` does.
    """
    if not predictions:
        return []
    interface = _parsed(config)
    with _ONE_BY_ONE:
        return [_problems(interface, given) for given in predictions]


_ONE_BY_ONE = Lock()
"""The SDK does not say that two threads may ask one parsed label config; Python would let one at a time
compute anyway."""


def _problems(interface: Any, given: dict[str, Any]) -> list[str]:
    try:
        return list(interface.validate_prediction(given, return_errors=True))
    except Exception as error:  # its parser fails on shapes that it does not expect
        return [f"{type(error).__name__}: {error}"]


@lru_cache(maxsize=8)
def _parsed(config: str) -> Any:
    from label_studio_sdk._legacy import exceptions
    from label_studio_sdk.label_interface.interface import LabelInterface

    syntax = exceptions.LabelStudioXMLSyntaxErrorSentryIgnored
    refusal = exceptions.LabelStudioValidationErrorSentryIgnored
    try:
        parsed: Any = LabelInterface(config)
        parsed.validate()
    except (syntax, refusal, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UsageError(f"The label config is not valid: {reason}.", "Correct the XML.") from error
    return parsed
