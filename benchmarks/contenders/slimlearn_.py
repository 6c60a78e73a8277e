"""slimlearn's side of a case."""

from slimlearn import DNNClassifier


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    return DNNClassifier(
        case.hidden,
        max_iter=epochs,
        batch_size=case.batch,
        learning_rate=1e-3,
        n_threads=case.threads,
        random_state=0,
    )
