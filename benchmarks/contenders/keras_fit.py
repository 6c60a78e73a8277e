"""Keras' own fit on its JAX backend, which compiles the step."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
from sklearn.metrics import accuracy_score, r2_score


class Model:
    """A network and its loop, behind fit, predict and score."""

    def __init__(self, case, epochs):
        self.case, self.epochs = case, epochs

    def fit(self, X, y):
        """Build, compile and train for the case's epochs."""
        case = self.case
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Input((case.units[0],))]
        if case.filters:
            layers += [keras.layers.Reshape((case.side, case.side, 1))]
        for filters in case.filters:
            layers += [
                keras.layers.Conv2D(filters, 3, padding="same", activation="relu"),
                keras.layers.MaxPooling2D(2),
            ]
        if case.filters:
            layers += [keras.layers.Flatten()]
        for units in case.hidden:
            layers += [keras.layers.Dense(units, use_bias=not case.batch_norm)]
            if case.batch_norm:
                layers += [keras.layers.BatchNormalization()]
            layers += [keras.layers.Activation("relu")]
            if case.dropout:
                layers += [keras.layers.Dropout(case.dropout)]
        self.model = keras.Sequential([*layers, keras.layers.Dense(case.units[-1])])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss="mse" if case.regression else loss,
        )
        self.model.fit(X, y, batch_size=case.batch, epochs=self.epochs, verbose=0)
        return self

    def predict(self, X):
        """Return classes or numbers."""
        if len(X) <= 1024:
            raw = self.model.predict_on_batch(X)
        else:
            raw = self.model.predict(X, batch_size=4096, verbose=0)
        return raw[:, 0] if self.case.regression else raw.argmax(axis=1)

    def score(self, X, y):
        """Return the accuracy, or R²."""
        measure = r2_score if self.case.regression else accuracy_score
        return measure(y, self.predict(X))


def prepare(case, epochs):
    """Return the model of a case, not yet built."""
    return Model(case, epochs)
