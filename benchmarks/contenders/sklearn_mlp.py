"""scikit-learn's MLPClassifier: no penalty, no stopping, the same work."""

from sklearn.neural_network import MLPClassifier


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    return MLPClassifier(
        case.hidden,
        max_iter=epochs,
        batch_size=case.batch,
        learning_rate_init=1e-3,
        alpha=0.0,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )
