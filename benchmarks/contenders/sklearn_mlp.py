"""scikit-learn's MLP: no penalty, no stopping, the same work."""

from sklearn.neural_network import MLPClassifier, MLPRegressor

SEARCH = {
    "hidden": "hidden_layer_sizes",
    "rate": "learning_rate_init",
    "batch": "batch_size",
}


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    kind = MLPRegressor if case.regression else MLPClassifier
    return kind(
        hidden_layer_sizes=case.hidden,
        solver="lbfgs" if case.optimizer == "lbfgs" else "adam",
        max_iter=epochs,
        batch_size=case.batch or "auto",
        learning_rate_init=1e-3,
        alpha=0.0,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )
