"""Turns of the loop on one page, in the order in which a sample makes them.

Each function is one turn for one task type. It puts the steps together, which never know each other; who
calls it opens the ledger and Label Studio once and passes them in. `rounds` plays the turns one after the
other, `sync` keeps them going.
"""

# ruff: noqa: I001 - the order is that of the loop

from lsloop.progress import SILENT, Progress

# A place for people to work at: the project in Label Studio, where it sends events, which model it asks.
from lsloop.loop.setup import attach_model, inspect, inspect_model, setup, task_types_here

# Samples come in: what kinds of task take, and where links in the raw data may lead.
from lsloop.loop.job import kinds_of, links_to

# A model proposes.
from lsloop.loop.predict import (
    asking, import_predictions, load_model, model_in_use, models_in_order, models_that_answer, predict,
)  # fmt: skip

# Samples go out, each exactly once.
from lsloop.loop.job import media
from lsloop.loop.push import plan_push, push

# Answers come back, told by an event or found by a pull; scores, decisions and revisions follow.
from lsloop.loop.events import attend, process_events
from lsloop.loop.pull import Accepted, accept, look, pull, release, review

# How right the answers of models are.
from lsloop.loop.accuracy import accuracy

# What people accepted leaves as files.
from lsloop.loop.export import export, watermark

# A better model comes of it, and is used.
from lsloop.loop.retrain import check_base, promote, retrain, roll_back

__all__ = [
    "SILENT",
    "Accepted",
    "Progress",
    "accept",
    "accuracy",
    "asking",
    "attach_model",
    "attend",
    "check_base",
    "export",
    "import_predictions",
    "inspect",
    "inspect_model",
    "kinds_of",
    "links_to",
    "load_model",
    "look",
    "media",
    "model_in_use",
    "models_in_order",
    "models_that_answer",
    "plan_push",
    "predict",
    "process_events",
    "promote",
    "pull",
    "push",
    "release",
    "retrain",
    "review",
    "roll_back",
    "setup",
    "task_types_here",
    "watermark",
]  # fmt: skip
