"""Put the newest results into README.md: ``python benchmarks/readme.py``.

What stands between ``<!-- name: … -->`` and ``<!-- end of name -->`` is written here
and nowhere else; a test compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"


def table(header: list[str], rows: list[list]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def newest(pattern: str) -> dict:
    """Return the newest record of a kind."""
    return json.loads(max((HERE / "results").glob(pattern)).read_text())


def conformance() -> str:
    """Return what scikit-learn's checks said."""
    record = newest("conformance-*.json")
    kinds = dict.fromkeys(row["kind"] for row in record["rows"])
    rows = []
    for kind in kinds:
        of_kind = [row for row in record["rows"] if row["kind"] == kind]
        default = [row for row in of_kind if row["shape"] == "default"]
        further = [row for row in of_kind if row["shape"] != "default"]
        false = sum(row["false"] for row in further)
        words = f"{_of(further)} in {len(further)}"
        rows.append([f"`{kind}`", _of(default), words, false or ""])
    ours = table(["slimlearn", "default", "further shapes", "false with dropout"], rows)
    peers = record["peers"]
    words = table(
        ["instead", "passed", "failed", "skipped"],
        [
            [
                f"{row['package']}: {row['estimator']}",
                _of([row]),
                row["failed"],
                row["skipped"],
            ]
            for row in peers["rows"]
        ],
    )
    versions = ", ".join(f"{name} {v}" for name, v in peers["versions"].items())
    return (
        f"{ours}\n\n{words}\n\n"
        f"Measured {record['date']} with {versions}. An estimator is asked about what "
        "it offers: one without `sample_weight` meets no check of weights."
    )


def _of(rows: list[dict]) -> str:
    return f"{sum(r['passed'] for r in rows)} of {sum(r['asked'] for r in rows)}"


SECTIONS = {"conformance": conformance}


def written(text: str) -> str:
    """Return README's text with every section as the newest results have it."""
    for name, section in SECTIONS.items():
        pattern = rf"(<!-- {name}: [^>]*-->\n)(.*?)(\n<!-- end of {name} -->)"
        found = re.findall(pattern, text, flags=re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"README.md has {len(found)} sections {name!r}, not one")
        start, former, end = found[0]
        text = text.replace(start + former + end, start + section() + end)
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
