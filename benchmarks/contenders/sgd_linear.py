"""scikit-learn's SGDClassifier: what many take for text; it has no hidden layer."""

from sklearn.linear_model import SGDClassifier


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    return SGDClassifier(loss="log_loss", max_iter=epochs, tol=None, random_state=0)
