"""Training cases: fits, steps, scores, and slimlearn's distance from the roofline."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import cases
import roofline
from pairs import Field, compared, medians


def measure(case: cases.Case, rounds: int, machine: roofline.Machine) -> dict:
    """Return a case's comparisons, and where slimlearn's time goes.

    Where a case asks for the slope, a step's time is the difference between fits of
    ``epochs`` and ``2 * epochs``: what a fit costs once is in the fit's ratio alone.
    """
    limits = [machine.step_seconds(case)]
    with Field(case, case.contenders) as field:
        warm = {w.contender: w.ask("warm") for w in (field.ours, *field.peers)}
        rows = warm[field.ours.contender]["rows"]
        once = field.pairs(rounds, "fit", epochs=case.epochs)
        twice = {}
        if case.slope:
            twice = field.pairs(rounds, "fit", epochs=2 * case.epochs)
        profile = None
        if case.optimizer == "adam":
            profile = field.ours.ask("profile", steps=10)["launches"]
    limits.append(machine.step_seconds(case))
    peers = {}
    for peer, pairs in once.items():
        row = compared(pairs, case.target(peer)) | {"score": medians(pairs, "score")}
        row["first_fit_seconds"] = warm[peer]["seconds"]  # compiling included
        if case.slope:
            row |= _steps(pairs, twice[peer], case.steps(rows, case.epochs))
        peers[peer] = row
    return {
        "units": case.units,
        "filters": case.filters,
        "batch": case.batch,
        "epochs": case.epochs,
        "rows": rows,
        "threads": case.threads,
        "optimizer": case.optimizer,
        "batch_norm": case.batch_norm,
        "dropout": case.dropout,
        "peers": peers,
    } | (_limits(case, rows, peers, profile, machine, limits) if profile else {})


def _steps(once: list, twice: list, steps: int) -> dict:
    """Return the time of a step by the slope."""
    times = [
        [1e6 * (b["seconds"] - a["seconds"]) / steps for a, b in zip(*pair)]
        for pair in zip(once, twice)
    ]
    return {
        "step_ratio": median(b / a for a, b in times),
        "step_us": [median(column) for column in zip(*times)],
    }


def _limits(case, rows, peers, profile, machine, limits) -> dict:
    """Return the roofline, its share, and the parts of a step."""
    limit = min(limits, key=lambda one: one["seconds"])
    if case.slope:
        step = median(row["step_us"][0] for row in peers.values()) / 1e6
    else:
        fit = median(row["seconds"][0] for row in peers.values())
        step = fit / case.steps(rows, case.epochs)
    parts = defaultdict(float)
    products = [0.0, 0.0]
    for launch in profile:
        parts[launch["op"]] += launch["least"]
        if launch["op"].startswith(("matmul", "convolution")):
            products[0] += launch["flops"]
            products[1] += launch["least"]
    total = sum(parts.values())
    largest = sorted(parts.items(), key=lambda part: -part[1])[:5]
    return {
        "step_us": 1e6 * step,
        "roofline": limit,
        "share": limit["seconds"] / step,
        "share_target": case.share,
        "product_share": products[0] / products[1] / machine.fma_peak(1),
        "parts": {op: seconds / total for op, seconds in largest},
    }
