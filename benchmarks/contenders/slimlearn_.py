"""slimlearn's side of a case."""

from slimlearn import DNNClassifier, DNNRegressor

SEARCH = {"hidden": "hidden_units", "rate": "learning_rate", "batch": "batch_size"}


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    lbfgs = case.optimizer == "lbfgs"
    kind = DNNRegressor if case.regression else DNNClassifier
    return kind(
        case.hidden,
        max_iter=epochs,
        optimizer=case.optimizer,
        batch_size=case.batch or "auto",
        learning_rate="auto" if lbfgs else 1e-3,
        batch_norm=case.batch_norm,
        dropout=case.dropout,
        tol=0.0,
        n_threads=case.threads,
        random_state=0,
    )
