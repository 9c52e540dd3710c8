"""Make sure that what the real-input and browser tests use is on this machine: installed where that is
possible (as root on Debian), named where it is not. Nothing is skipped for want of a program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

RECORDINGS = Path("/usr/share/sounds/alsa/Front_Center.wav")

NEEDS = {
    "chromium": shutil.which("chromium"),
    "espeak-ng": shutil.which("espeak-ng"),
    "alsa-utils": RECORDINGS.is_file() or None,
}


def main() -> int:
    missing = [package for package, found in NEEDS.items() if not found]
    if not missing:
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            f"The tests need {', '.join(missing)}. Install: sudo apt-get install {' '.join(missing)}",
            file=sys.stderr,
        )
        return 1
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    return subprocess.run(install, env=environment, stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
