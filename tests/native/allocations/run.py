"""Run what users do with one failing allocation after the other, each in a fork.

Started with ``fail.cpp`` loaded before all others; prints what went wrong, a line each.

    run.py SECONDS [ACTION ...]

Of each action the last allocations come first, then all in a random order, for its
share of the seconds.
"""

import ctypes
import os
import pickle
import sys
import time
import warnings

import numpy as np
from scipy import sparse

from slimlearn import (
    DNNClassifier,
    LinearRegressor,
    NetworkClassifier,
    clear_cache,
    layers,
)
from slimlearn.backend import ops
from slimlearn.estimators.callbacks import Callback

warnings.simplefilter("ignore")
LIBRARY = ctypes.CDLL(None)
LIBRARY.slim_test_made.restype = ctypes.c_long
LIBRARY.slim_test_fail.argtypes = [ctypes.c_long]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = (X[:, 0] > 0).astype(int)
WIDE = sparse.random(40, 300, 0.1, "csr", random_state=0)


class Looks(Callback):
    """Makes L-BFGS ask after each iteration."""


def network():
    return DNNClassifier(
        (6, 4), max_iter=2, batch_size=16, random_state=0, n_threads=1, dropout=0.2
    ).set_params(batch_norm=True, early_stopping=True)


def fit():
    return network().fit(X, Y).predict_proba(X)


def fit_sparse():
    model = LinearRegressor(max_iter=2, random_state=0, n_threads=1)
    model.set_params(optimizer="adam", batch_size=16)
    return model.fit(WIDE, X[:, 0]).predict(WIDE)


def fit_lbfgs():
    model = DNNClassifier((4,), max_iter=3, random_state=0, n_threads=1)
    model.set_params(optimizer="lbfgs", callbacks=[Looks()])
    return model.fit(X, Y).predict_proba(X)


def convolved(x):
    """A 5 × 1 image of each row, through every kind of convolution and pooling."""
    net = layers.conv2d(ops.reshape(x, (-1, 5, 1, 1)), 4, 3)
    net = layers.max_pool2d(layers.separable_conv2d(net, 4, 3, 1), (2, 1), 1)
    return layers.flatten(layers.avg_pool2d(net, (2, 1)))


def fit_images():
    model = NetworkClassifier(convolved, max_iter=2, random_state=0, n_threads=1)
    return model.set_params(batch_size=16).fit(X, Y).predict_proba(X)


FITTED = network().fit(X, Y)
PICKLED = pickle.dumps(FITTED)
clear_cache()


def refit():
    return FITTED.fit(X, Y).predict_proba(X)


def predict():
    return FITTED.predict_proba(X)


def unpickle():
    return pickle.loads(PICKLED).predict_proba(X)


ACTIONS = [fit, fit_sparse, fit_lbfgs, fit_images, refit, predict, unpickle]


def child(action, number, expected) -> int:
    """What a fork of this process ends with: 0 if all is right."""
    LIBRARY.slim_test_fail(number)
    try:
        result = action()
    except MemoryError:
        result = None
    except BaseException as error:
        LIBRARY.slim_test_fail(0)
        print(f"  {type(error).__name__}: {str(error)[:200]}")
        return 1
    LIBRARY.slim_test_fail(0)
    if result is not None and not np.array_equal(result, expected):
        return 2  # it went on, with another result
    return 0 if np.array_equal(action(), expected) else 3


def known(action) -> tuple[int, np.ndarray]:
    """How many allocations the action makes, and its result, both of a fork."""
    read, write = os.pipe()
    if os.fork() == 0:
        LIBRARY.slim_test_fail(0)
        result = action()
        os.write(write, pickle.dumps((LIBRARY.slim_test_made(), result)))
        os._exit(0)
    os.wait()
    with open(read, "rb") as file:
        os.close(write)
        return pickle.load(file)


def main(seconds: float, actions: list) -> int:
    """Return how many went wrong."""
    wrong = 0
    for action in actions:
        made, expected = known(action)
        end, tried = time.monotonic() + seconds / len(actions), 0
        order = np.random.default_rng().permutation(made) + 1
        # The last ones first, with which an action hands over what it made.
        for number in np.concatenate([np.arange(max(1, made - 7), made + 1), order]):
            if time.monotonic() > end:
                break
            tried += 1
            sys.stdout.flush()
            if os.fork() == 0:
                code = child(action, int(number), expected)
                sys.stdout.flush()
                os._exit(code)
            status = os.waitstatus_to_exitcode(os.wait()[1])
            if status != 0:
                wrong += 1
                print(f"{action.__name__}: {number} of {made} ended it with {status}")
        print(f"{action.__name__}: tried {tried} of {made}", flush=True)
    return wrong


NAMES = sys.argv[2:]
CHOSEN = [a for a in ACTIONS if not NAMES or a.__name__ in NAMES]
sys.exit(min(100, main(float(sys.argv[1]), CHOSEN)))
