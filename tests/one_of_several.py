"""What each process of a training under torchrun runs in a test: `torchrun … one_of_several.py TOLD.json`."""

import json
import sys
from pathlib import Path

from lsloop.models import Training, speech_ctc

if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    training = Training(
        told["base"], Path(told["out"]), told["settings"], log=lambda metrics: print(json.dumps(metrics), flush=True)
    )
    speech_ctc.train(told["rows"], [], training)
