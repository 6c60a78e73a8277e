"""Networks for images and single convolutions: what is asked of whom."""

from __future__ import annotations

from dataclasses import replace

import images
from cases import NO_SLOWER
from pairs import Field, compared, medians


def networks(case: images.Network, rounds: int) -> dict:
    """Compare a network: each job's ratios, and the memory of its last one."""
    jobs = {}
    with Field(case, case.contenders) as field:
        everyone = (field.ours, *field.peers)
        for job in case.jobs:
            warm = {w.contender: w.ask("warm", job=job) for w in everyone}
            if len({record["weights"] for record in warm.values()}) != 1:
                raise RuntimeError(f"{case.name} is not one network: {warm}")
            jobs[job] = {
                peer: compared(pairs, case.targets.get(job, NO_SLOWER))
                | {"first_seconds": warm[peer]["seconds"]}
                for peer, pairs in field.pairs(
                    rounds, "time", job=job, repeats=case.repeats
                ).items()
            }
        memory = {w.contender: w.ask("memory", job=case.jobs[-1]) for w in everyone}
    sizes = {"batch": case.batch, "size": case.size, "threads": case.threads}
    return {
        **sizes,
        "jobs": jobs,
        "mib": {contender: record["mib"] for contender, record in memory.items()},
    }


def convolutions(rounds: int, batch: int | None = None) -> list[dict]:
    """Compare each layer and pass with the better of PyTorch's memory formats."""
    rows = []
    with Field(images.Layers(), images.EAGER) as field:
        for layer in images.CONVOLUTIONS.values():
            case = replace(layer, batch=batch or layer.batch)
            for which in images.PASSES:
                job = {"layer": case.name, "batch": case.batch, "which": which}
                found = {
                    peer: medians(pairs, "seconds")
                    for peer, pairs in field.pairs(
                        rounds, "time", repeats=5, **job
                    ).items()
                }
                ours = min(a for a, _ in found.values())
                theirs = {peer: b for peer, (_, b) in found.items()}
                rows.append(
                    job
                    | {"flops": case.flops(), "seconds": [ours, min(theirs.values())]}
                    | {"best": min(theirs, key=theirs.get)}
                )
    return rows
