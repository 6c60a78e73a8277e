"""Wrote the model files of this folder, once: later versions read them as they are.

A new format gets files of its own, `python make.py 3.0`; those that are there stay.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import slimlearn
from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    NetworkClassifier,
    TabularClassifier,
    layers,
    network,
)

HERE = Path(__file__).parent
X, y = make_classification(60, 8, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)


@network
def tower(x, units=(8,)):
    net = layers.stack(x, layers.fully_connected, units)
    return layers.batch_norm(net)


def models():
    """The models by name, and what they predict from."""
    names = [f"c{i}" for i in range(8)]
    frame = pd.DataFrame(X, columns=names)
    words = np.array(["one", "zwei", "três"])
    net = DNNClassifier((8,), max_iter=3, early_stopping=True, random_state=0)
    yield "pipeline", make_pipeline(StandardScaler(), net).fit(frame, words[y]), X
    table = TabularClassifier(members=2, max_iter=3, hidden_units=(8,), random_state=0)
    yield "table", table.fit(X, y), X
    images = (X.reshape(60, 4, 2, 1) * 20).clip(0, 255).astype(np.uint8)
    convnet = ConvNetClassifier(filters=(4,), max_iter=2, random_state=0)
    yield "images", convnet.fit(images, y), images
    own = NetworkClassifier(tower(), random_state=0)
    yield "network", own.partial_fit(X, y, classes=[0, 1, 2]), X


if __name__ == "__main__":
    for name, model, given in models():
        path = HERE / f"{name}-{sys.argv[1]}.slim"
        if path.exists():
            sys.exit(f"{path} is there, and stays")
        slimlearn.save(model, path)
        rows = given
        if name == "pipeline":
            rows = pd.DataFrame(given, columns=model.feature_names_in_)
        proba, labels = model.predict_proba(rows), model.predict(rows)
        np.savez(HERE / f"{path.stem}.npz", X=given, proba=proba, labels=labels)
