"""The whole road on real data: a network function, a search, two data sets.

``make demo`` runs it; it needs no network and about two minutes on two cores.
"""

from __future__ import annotations

import time

import fashion_convnet
import fashion_mnist
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import DNNClassifier, NetworkClassifier, layers, network


@network
def tower(x, units=(64,), keep_prob=0.9):
    """Hidden layers with dropout; the classifier adds the layer of its classes."""
    x = layers.stack(x, layers.fully_connected, units)
    return layers.dropout(x, keep_prob)


def digits() -> float:
    """Search a network for scikit-learn's digits; return the accuracy held out."""
    X, y = load_digits(return_X_y=True)
    X, X_out, y, y_out = train_test_split(
        X, y, test_size=1 / 3, stratify=y, random_state=0
    )
    print(f"digits: {len(X)} images of 8x8 to learn from, {len(X_out)} held out")
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(),
            NetworkClassifier(tower(), max_iter=60, random_state=0),
        ),
        {
            "networkclassifier__net__units": [(64,), (128, 64)],
            "networkclassifier__net__keep_prob": [1.0, 0.8],
        },
        n_jobs=2,
        verbose=2,
    )
    start = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = search.score(X_out, y_out)
    chosen = {name.split("__")[-1]: v for name, v in search.best_params_.items()}
    print(f"  best {chosen}, {search.best_score_:.4f} in cross-validation")
    print(
        f"  accuracy {accuracy:.4f} held out; 20 fits and the last in {seconds:.1f} s"
    )
    return accuracy


def fashion() -> float:
    """Train 784-256-128-10 for ten epochs on Fashion-MNIST; return its accuracy."""
    X, y = fashion_mnist.load("train")
    print(f"Fashion-MNIST: {len(X)} images of 28x28, 784-256-128-10, ten epochs")
    classifier = DNNClassifier(
        (256, 128),
        max_iter=10,
        batch_size=128,
        learning_rate_schedule="cosine",
        random_state=0,
        verbose=2,
    )
    start = time.perf_counter()
    classifier.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = classifier.score(*fashion_mnist.load("test"))
    print(f"  accuracy {accuracy:.4f} on the 10,000 test images, in {seconds:.1f} s")
    return accuracy


def convolutions() -> float:
    """Train a small convolutional network for two epochs; return its accuracy."""
    X, y = fashion_convnet.images("train")
    print("Fashion-MNIST: two 3x3 convolutions of 32 and 64 filters, two epochs")
    classifier = fashion_convnet.classifier(best=False, epochs=2, verbose=2)
    start = time.perf_counter()
    classifier.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = classifier.score(*fashion_convnet.images("test"))
    print(f"  accuracy {accuracy:.4f} on the 10,000 test images, in {seconds:.1f} s")
    return accuracy


def main() -> None:
    """Run all three and check what is promised."""
    assert digits() >= 0.97
    if fashion_mnist.available():
        assert fashion() >= 0.88
        assert convolutions() >= 0.87
    else:
        print(
            f"Fashion-MNIST is not in {fashion_mnist.folder()}, so it is left out "
            "(apt-get install dataset-fashion-mnist, or set FASHION_MNIST)"
        )


if __name__ == "__main__":
    main()
