"""The newest results as Markdown, for the pages; ``python benchmarks/readme.py`` puts
a few of them into README.md.

What stands there between ``<!-- speed: … -->`` and ``<!-- end of speed -->`` is written
here and nowhere else; a test compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import report

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


# The cases that README.md shows.
HEADLINES = ("digits-32", "fashion", "fashion-large")
PEERS = tuple(peer for peer in report.PEERS if not peer.startswith("slimlearn"))


def newest_run() -> dict:
    """Return the newest run of all cases."""
    runs = [newest(path.name) for path in sorted((HERE / "results").glob("bench-*"))]
    return [run for run in runs if run["whole"]][-1]


def headline() -> str:
    """Return a few ratios of the newest whole run, the least good one among them."""
    run = newest_run()
    peers = ("skorch_net", "sklearn_mlp", "torch_loop", "keras_fit")
    cases = run["cases"]
    rows = {_trained(cases[name])[0]: cases[name]["peers"] for name in HEADLINES}
    rows["predict, 1 row"] = run["predict"]["1"]
    rows["grid search, two processes"] = run["search"]["n_jobs=2, loky"]
    words = table(
        ["times as fast as", *(report.PEERS[peer] for peer in peers)],
        [
            [name, *(f"{found[p]['ratio']:.3g}" if p in found else "–" for p in peers)]
            for name, found in rows.items()
        ],
    )
    return (
        f"{words}\n\n"
        f"Measured {run['time'][:10]} on {run['machine']['cpus']} cores of an "
        f"{run['machine']['processor']} with equal threads, work and accuracy; "
        "`make bench` measures; the pages show all cases and peers, and the goals that "
        "were missed."
    )


def speed() -> str:
    """Return how many times as fast slimlearn is, from the newest whole run."""
    run = newest_run()
    rows = [_trained(result) for result in run["cases"].values()]
    rows += [
        [f"predict, {count} row{'s' * (count != '1')}", *_ratios(peers), "", ""]
        for count, peers in run["predict"].items()
    ]
    rows += [
        [f"grid search, {how}", *_ratios(peers), _scores(peers), ""]
        for how, peers in run["search"].items()
    ]
    rows += [[what, *_ratios(peers), "", ""] for what, peers in run["start"].items()]
    rows += [
        [f"{name}, {job}, batch {result['batch']}", *_ratios(peers), "", ""]
        for name, result in run.get("networks", {}).items()
        for job, peers in result["jobs"].items()
    ]
    header = ["times as fast as", *(report.PEERS[peer] for peer in PEERS)]
    words = table(*_without_empty([*header, "score, theirs", "roofline"], rows))
    alone = ", ".join(
        f"{row['size']}³ {row['share']:.0%} on {row['threads']} "
        f"thread{'s' * (row['threads'] > 1)}"
        for row in run["products"]
    )
    jobs = ", ".join(
        f"{row['ratio']:.2f} ({row['backend']}, {row['epochs']} epochs)"
        for row in run["jobs"]
        if row["ours"]
    )
    sizes = "\n".join(
        f"- {what}, MiB: "
        + ", ".join(f"{report.PEERS[name]} {mib:.0f}" for name, mib in found.items())
        for what, found in run["footprint"].items()
    )
    sizes += "".join(
        f"\n- {name}, peak MiB: "
        + ", ".join(
            f"{report.PEERS[who]} {mib:.0f}" for who, mib in found["mib"].items()
        )
        for name, found in run.get("networks", {}).items()
    )
    if run.get("convolutions"):
        words += f"\n\n{convolutions(run['convolutions'])}"
    machine = run["machine"]
    again = ", ".join(run.get("again", ()))
    again = f" Measured again by themselves, for they were disturbed: {again}." * bool(
        again
    )
    return (
        f"{words}\n\n"
        f"- matrix products alone, of the FMA peak: {alone}\n"
        f"- a grid search with two jobs, times as fast as with one: {jobs}\n{sizes}\n\n"
        f"Measured {run['time'][:10]} on {machine['cpus']} cores of an "
        f"{machine['processor']}, load of others {run['load']:.1f}, with "
        f"{', '.join(run['peers']).replace('==', ' ')}."
        f"{again} {_missed(run)}"
    )


def convolutions(rows: list[dict]) -> str:
    """Return GFLOP/s of each layer and pass, and the ratio to oneDNN's."""
    layers: dict[str, list[str]] = {}
    for row in rows:
        ours, theirs = (row["flops"] / 1e9 / seconds for seconds in row["seconds"])
        cell = f"{ours:.0f} / {theirs:.0f} = {ours / theirs:.2f}"
        layers.setdefault(row["layer"], []).append(cell)
    header = ["GFLOP/s on one thread, ours / oneDNN's", "forward"]
    header += ["gradient of images", "of filters"]
    return table(header, [[layer, *cells] for layer, cells in layers.items()])


def _trained(result: dict) -> list[str]:
    kind = "".join(
        f", {word}"
        for word, present in (
            ("sparse", result["optimizer"] == "lazy_adam"),
            ("L-BFGS", result["optimizer"] == "lbfgs"),
            (f"batch {result['batch']}", result["batch"]),
            ("batch norm", result["batch_norm"]),
            ("dropout", result["dropout"]),
            ("one thread", result["threads"] == 1),
        )
        if present
    )
    filters = "".join(f"{count} filters, " for count in result.get("filters", ()))
    name = filters + "-".join(map(str, result["units"])) + kind
    peers = result["peers"]
    share = f"{result['share']:.0%}" if "share" in result else ""
    if _is_disturbed(result):
        share = "disturbed"
    return [name, *_ratios(peers), _scores(peers), share]


def _is_disturbed(result: dict) -> bool:
    """Whether the machine was slower while its limits were measured."""
    return result.get("share", 0) > 1


def _without_empty(header: list[str], rows: list[list[str]]):
    """Leave peers out that the run did not measure."""
    kept = [
        i for i in range(len(header)) if any(row[i] not in ("–", "") for row in rows)
    ]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _ratios(peers: dict) -> list[str]:
    return [f"{peers[peer]['ratio']:.3g}" if peer in peers else "–" for peer in PEERS]


def _scores(peers: dict) -> str:
    ours = median(row["score"][0] for row in peers.values())
    theirs = [row["score"][1] for row in peers.values()]
    return f"{ours:.3f}, {min(theirs):.3f}–{max(theirs):.3f}"


def _missed(run: dict) -> str:
    """Return the goals that were not reached, by name."""
    groups = [(name, result["peers"]) for name, result in run["cases"].items()]
    groups += [(f"predict {count}", peers) for count, peers in run["predict"].items()]
    groups += [
        (f"{name} {job}", peers)
        for name, result in run.get("networks", {}).items()
        for job, peers in result["jobs"].items()
    ]
    groups += [*run["search"].items(), *run["start"].items()]
    missed = [
        f"{name} {row['ratio']:.3g} of {row['target']:g} × {report.PEERS[peer]}"
        for name, peers in groups
        for peer, row in peers.items()
        if row["target"] and row["ratio"] < row["target"]
    ]
    missed += [
        f"{name} {result['share']:.0%} of {result['share_target']:.0%} of the roofline"
        for name, result in run["cases"].items()
        if result.get("share_target") and result["share"] < result["share_target"]
    ]
    missed += [
        f"the roofline of {name} was disturbed"
        for name, result in run["cases"].items()
        if _is_disturbed(result)
    ]
    missed += [
        f"{row['layer']} {row['which']} {row['seconds'][1] / row['seconds'][0]:.2f} of "
        f"{report.CONVOLUTION:g} × oneDNN"
        for row in run.get("convolutions", ())
        if row["seconds"][1] < report.CONVOLUTION * row["seconds"][0]
    ]
    missed += [
        f"product of {row['size']}³ on {row['threads']} {row['share']:.0%} of "
        f"{report.PRODUCT_SHARE:.0%}"
        for row in run["products"]
        if row["share"] < report.PRODUCT_SHARE
    ]
    missed += [
        f"a second {row['backend']} job in a search of {row['epochs']} epochs "
        f"{row['ratio']:.3g} of {row['target']:g} ×"
        for row in run["jobs"]
        if row["target"] and row["ratio"] < row["target"]
    ]
    if not missed:
        return "Every goal of the cases is met."
    return f"Goals of the cases that are not met: {'; '.join(missed)}."


def written(text: str) -> str:
    """Return README's text with its figures as the newest results have them."""
    pattern = r"(<!-- speed: [^>]*-->\n).*?(<!-- end of speed -->)"
    if len(re.findall(pattern, text, flags=re.DOTALL)) != 1:
        raise ValueError("README.md needs one section of speed")
    return re.sub(
        pattern, lambda m: f"{m[1]}{headline()}\n{m[2]}", text, flags=re.DOTALL
    )


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
