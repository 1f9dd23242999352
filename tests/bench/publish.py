"""Put a run of `run.py --only peers` into docs/performance.md: `publish.py bench-results/STAMP.json`.

Replaces what is between the two marks with the run's own Markdown, and draws its plots beside.
"""

import sys
from pathlib import Path

import plots

DOCS = Path(__file__).parents[2] / "docs"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")


def replaced(page: str, measured: str, date: str) -> str:
    """The page with another run between its marks."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\nMeasured on {date}.\n\n{measured.strip()}\n\n{MARKS[1]}{after}"


def main(result: str) -> None:
    """Publish the run of which `result` is the JSON file."""
    kept = Path(result)
    date = f"{kept.stem[:4]}-{kept.stem[4:6]}-{kept.stem[6:8]}"
    page = DOCS / "performance.md"
    page.write_text(replaced(page.read_text(), kept.with_suffix(".md").read_text(), date))
    plots.main(result, str(DOCS / "performance"))


if __name__ == "__main__":
    main(*sys.argv[1:])
