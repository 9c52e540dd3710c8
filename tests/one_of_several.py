"""What each process of a training under torchrun runs in a test: `torchrun … one_of_several.py TOLD.json`."""

import json
import os
import sys
from pathlib import Path

from lsloop.models import Training
from lsloop.models.families import speech_ctc


def tell(metrics: object) -> None:
    """One line in one write: what two processes print into one pipe runs together elsewhere."""
    os.write(sys.stdout.fileno(), f"{json.dumps(metrics)}\n".encode())


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    training = Training(told["base"], Path(told["out"]), told["settings"], log=tell)
    speech_ctc.train(told["rows"], [], training)
