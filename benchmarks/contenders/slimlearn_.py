"""slimlearn's side of a case."""

import time

from slimlearn import DNNClassifier, DNNRegressor, callbacks

SEARCH = {"hidden": "hidden_units", "rate": "learning_rate", "batch": "batch_size"}


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    lbfgs = case.optimizer == "lbfgs"
    options = {
        "max_iter": epochs,
        "optimizer": case.optimizer,
        "batch_size": case.batch or "auto",
        "learning_rate": "auto" if lbfgs else 1e-3,
        "tol": 0.0,
        "n_threads": case.threads,
        "random_state": 0,
    }
    if case.ids:
        return _bags(case, options)
    if case.filters:
        from slimlearn import ConvNetClassifier

        return ConvNetClassifier(
            image_shape=(case.side, case.side),
            filters=case.filters,
            hidden_units=case.hidden,
            **options,
        )
    kind = DNNRegressor if case.regression else DNNClassifier
    norm = {"batch_norm": case.batch_norm, "dropout": case.dropout}
    return kind(case.hidden, **norm, **options)


def _bags(case, options):
    """Return the mean of numbered vectors and a linear layer."""
    from slimlearn import NetworkRegressor, layers, ops

    def bags(x):
        vectors = layers.embedding(x["ids"], *case.units[:2])
        return ops.reduce_mean(vectors, [1])

    return NetworkRegressor(
        bags,
        inputs={"ids": slice(None)},
        precision="float32",
        callbacks=[Clock()],
        **options,
    )


class Clock(callbacks.Callback):
    """Looks at the clock at each epoch's end."""

    def on_fit_begin(self, state):
        """Begin."""
        self.times = [time.perf_counter()]

    def on_epoch_end(self, state):
        """Look."""
        self.times.append(time.perf_counter())


def epoch_seconds(estimator):
    """Return the time of each epoch."""
    [(_, clock)] = estimator.callbacks_
    return [b - a for a, b in zip(clock.times, clock.times[1:])]
