"""The results as lines of text, with what is met and what is missed."""

from __future__ import annotations

PEERS = {
    "skorch_net": "skorch",
    "sklearn_mlp": "scikit-learn",
    "torch_loop": "PyTorch loop",
    "torch_channels_last": "channels last",
    "torch_compiled": "torch.compile",
    "jax_scan": "JAX scan",
    "jax_steps": "JAX steps",
    "keras_fit": "Keras",
    "torch_bags": "SparseAdam",
    "torch_bags_dense": "dense Adam",
    "torch_sparse": "torch sparse",
    "torch_sentences": "each sentence",
    "torch_batch": "all at once",
    "sgd_linear": "SGDClassifier",
    "torch_images": "PyTorch",
    "torch_images_last": "channels last",
    "torch_images_compiled": "torch.compile",
    "onnxruntime_images": "onnxruntime",
    "torch_sequences": "PyTorch",
    "jax_sequences": "JAX",
    "keras_sequences": "Keras",
    "slimlearn_images": "slimlearn",
    "slimlearn_": "slimlearn",
}


CONVOLUTION = 0.9  # of oneDNN's speed, below which a convolution is named
PRODUCT_SHARE = 0.85  # of the FMA peak, by matrix products alone


def verdict(value: float, target: float | None, at_most: bool = False) -> str:
    """Return the target and whether it is met."""
    if target is None:
        return ""
    met = value <= target if at_most else value >= target
    bound = "at most" if at_most else "at least"
    return f"{bound} {target:g}: {'met' if met else 'MISSED'}"


def _peers(peers: dict, unit: float = 1e3, name: str = "ms") -> None:
    print(f"    {'':14} {'×':>8} {'ours ' + name:>11} {'peer ' + name:>11}")
    for peer, row in peers.items():
        ours, theirs = (unit * seconds for seconds in row["seconds"])
        print(
            f"    {PEERS[peer]:14} {row['ratio']:8.2f} {ours:11.3f} {theirs:11.3f}  "
            f"{_score(row):17} {verdict(row['ratio'], row['target'])}"
        )


def _score(row: dict) -> str:
    return " / ".join(f"{score:.4f}" for score in row.get("score", ()))


def training(name: str, result: dict) -> None:
    """Print a training case."""
    filters = "".join(f"{count} filters, " for count in result["filters"])
    network = filters + "-".join(map(str, result["units"]))
    more = [word for word in ("batch_norm", "dropout") if result[word]]
    steps = f"batch {result['batch']}, {result['epochs']} epochs"
    if result["optimizer"] == "lbfgs":
        steps = f"L-BFGS, {result['epochs']} iterations"
    if result["optimizer"] == "lazy_adam":
        network = f"sparse {network}"
    print(
        f"\n{name}: {network} {' '.join(more)}, {result['rows']} rows, {steps}, "
        f"{result['threads']} threads"
    )
    _peers(result["peers"])
    for peer, row in result["peers"].items():
        if "step_us" in row:
            ours, theirs = row["step_us"]
            print(
                f"    a step: {row['step_ratio']:.1f} × {PEERS[peer]} "
                f"({ours:.1f} and {theirs:.1f} µs)"
            )
    if "roofline" in result:
        limit = result["roofline"]
        parts = ", ".join(f"{op} {part:.0%}" for op, part in result["parts"].items())
        print(
            f"    step {result['step_us']:.1f} µs, {100 * result['share']:.0f}% of the "
            f"roofline ({limit['fma_peak'] / 1e9:.0f} GFLOP/s, "
            f"{limit['bandwidth'] / 1e9:.0f} GB/s) "
            f"{verdict(result['share'], result['share_target'])}\n"
            f"    on one thread: products at {result['product_share']:.0%} of the FMA "
            f"peak; of a step {parts}"
        )


def products(rows: list[dict]) -> None:
    """Print the products alone."""
    print("\nproducts alone, share of the FMA peak of their threads")
    for row in rows:
        print(
            f"    {row['size']}³, {row['threads']} threads: {row['share']:.0%} "
            f"{verdict(row['share'], PRODUCT_SHARE)}"
        )


def groups(title: str, found: dict, unit: float, name: str) -> None:
    """Print comparisons under their headings."""
    print(f"\n{title}")
    for heading, peers in found.items():
        print(f"  {heading}")
        _peers(peers, unit, name)


def jobs(rows: list[dict]) -> None:
    """Print what a second job is worth."""
    print("\na search with two jobs against one")
    for row in rows:
        whose = "slimlearn" if row["ours"] else "fits that wait"
        two, one = row["seconds"]
        print(
            f"    {row['epochs']} epochs, {row['backend']:9} {whose:14} "
            f"{row['ratio']:5.2f} × ({one:.2f} and {two:.2f} s)  "
            f"{verdict(row['ratio'], row['target'])}"
        )


def footprints(found: dict) -> None:
    """Print sizes in MiB."""
    print("\nMiB beyond scikit-learn's own")
    for heading, sizes in found.items():
        words = ", ".join(f"{PEERS[name]} {size:.1f}" for name, size in sizes.items())
        ours, least = sizes["slimlearn_"], min(sizes.values())
        print(f"  {heading}: {words}  {verdict(ours, least, at_most=True)}")


def own(rows: list[dict]) -> None:
    """Print what needs no peer."""
    print("\nslimlearn alone")
    for row in rows:
        note = verdict(row["value"], row["target"], at_most=True)
        print(f"  {row['name']:50} {row['value']:10.2f} {row['unit']:4} {note}")


def network(name: str, result: dict) -> None:
    """Print a network's jobs."""
    print(
        f"\n{name}: batch {result['batch']}, {result['size']}², "
        f"{result['threads']} threads"
    )
    for job, peers in result["jobs"].items():
        print(f"  {job}")
        _peers(peers)
    sizes = ", ".join(f"{PEERS[who]} {mib:.0f}" for who, mib in result["mib"].items())
    ours = result["mib"]["slimlearn_images"]
    least = min(mib for who, mib in result["mib"].items() if who != "slimlearn_images")
    print(f"    peak MiB: {sizes}  {verdict(ours, least, at_most=True)}")


def sequences(name: str, result: dict) -> None:
    """Print a layer over sequences."""
    print(f"\n{name}: forward and backward, {result['threads']} threads")
    _peers(result["peers"])


def convolutions(rows: list[dict]) -> None:
    """Print each layer: GFLOP/s of both, and the ratio."""
    print("\nconvolutions on one thread, GFLOP/s: ours, oneDNN's through PyTorch, ×")
    for row in rows:
        ours, theirs = (row["flops"] / 1e9 / seconds for seconds in row["seconds"])
        print(
            f"    {row['layer']:36} {row['which']:8} {ours:8.1f} {theirs:8.1f} "
            f"{ours / theirs:6.2f}  {verdict(ours / theirs, CONVOLUTION)}"
        )
