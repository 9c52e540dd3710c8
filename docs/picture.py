"""Draws docs/demo.svg: what `lsloop demo` prints on this machine, as it prints it."""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ACTS = (
    r"world|stack|ingest|push|annotate|crawl|webhook|pull|release|rethink|decide|check|"
    r"hold out|dvc|pool|round \d+"
)


def main() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lsloop", "demo", *sys.argv[1:]], stdout=subprocess.PIPE, text=True, check=True
    )
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Text("$ make demo", style="bold"))
    for line in done.stdout.splitlines():
        console.print(styled(line.rstrip()))
    svg = console.export_svg(title="lsloop demo")
    # The picture shall need nothing from elsewhere to be drawn.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (HERE / "demo.svg").write_text(
        "\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8"
    )


def styled(line: str) -> Text:
    text = Text(re.sub(r"password \S+", "password ••••••••", line))
    text.highlight_regex(r"\byes\b", "green")
    text.highlight_regex(r"\d+(\.\d+)? ?%", "cyan")
    text.highlight_regex(r"█+", "green")
    text.highlight_regex(rf"^  ({ACTS})\b", "bold magenta")
    return text


if __name__ == "__main__":
    main()
