"""Setup: the Label Studio project of a task type.

It is made once, found again by what is in it, and checked for drift.
"""

from lsloop.steps.project.adopting import adopt
from lsloop.steps.project.agreeing import Wanted
from lsloop.steps.project.looking import inspect, look_up
from lsloop.steps.project.making import Setup, register_webhook, setup
from lsloop.steps.project.recognising import Place, prove, recognise, refuse_another

__all__ = [
    "Place", "Setup", "Wanted", "adopt", "inspect", "look_up", "prove", "recognise", "refuse_another",
    "register_webhook", "setup",
]  # fmt: skip
