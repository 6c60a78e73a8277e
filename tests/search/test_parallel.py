"""Processes and threads: who runs how many, that nobody waits forever, and the bits."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from threadpoolctl import threadpool_limits

import slimlearn
from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    NetworkClassifier,
    callbacks,
    layers,
    network,
)
from slimlearn.backend import engine
from slimlearn.backend.cache import _LOCK, Cache

# From Python 3.12 on a fork beside other threads warns. Here it is what is tested.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .*is multi-threaded:DeprecationWarning"
)

rng = np.random.default_rng(0)
SMALL = rng.normal(size=(300, 6)).astype(np.float32)
LARGE = rng.normal(size=(1024, 64)).astype(np.float32)


def labels(X):
    return (X[:, 0] * X[:, 1] > 0).astype(int)


@network
def tower(x, units=(8,), keep_prob=0.9):
    net = layers.stack(x, layers.fully_connected, units, scope="fc")
    return layers.dropout(net, keep_prob)


FEW = {"max_iter": 2, "random_state": 0}
# In one thread, in as many as there are, by steps and with L-BFGS.
MODELS = {
    "small": (NetworkClassifier(tower(), **FEW), SMALL),
    "large": (DNNClassifier((512, 256), batch_size=256, dropout=0.1, **FEW), LARGE),
    "regressor": (DNNRegressor((512,), batch_size=512, **FEW), LARGE),
    "lbfgs": (LinearClassifier(max_iter=200, tol=1e-3), LARGE),
}
models = pytest.mark.parametrize("name", MODELS)


def fitted(name, **params):
    model, X = MODELS[name]
    return clone(model).set_params(**params).fit(X, labels(X))


def bits(name, **params):
    """What a fit learnt, and what it predicts, to the last bit."""
    model = fitted(name, **params)
    return model.program_.params.tobytes(), model.predict(MODELS[name][1]).tobytes()


def bits_to(pipe, name):
    pipe.send(bits(name))
    pipe.close()


# -- one result, whoever computes it ------------------------------


@models
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_one_seed_one_result_in_every_backend(backend, name):
    expected = bits(name)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(bits)(name) for _ in range(3))
    assert found == [expected] * 3


@models
def test_one_seed_one_result_for_any_number_of_threads(name):
    expected = bits(name, n_threads=1)
    with threadpool_limits(3, user_api="openmp"):
        for n_threads in (2, 3, None):
            assert bits(name, n_threads=n_threads) == expected


def test_searches_give_the_same_scores_for_any_n_jobs():
    found = []
    for n_jobs, backend in ((None, "loky"), (2, "loky"), (2, "threading")):
        with joblib.parallel_config(backend=backend):
            search = GridSearchCV(
                clone(MODELS["small"][0]),
                {"net__units": [(4,), (8, 4)], "net__keep_prob": [0.5, 1.0]},
                cv=2,
                n_jobs=n_jobs,
                error_score="raise",
            ).fit(SMALL, labels(SMALL))
        found.append(
            [
                *search.cv_results_["mean_test_score"],
                *search.predict_proba(SMALL).ravel(),
            ]
        )
    assert found[0] == found[1] == found[2]


# -- forks ------------------------------


def in_a_fork(work, seconds=60):
    """What `work` returns, pickled, in a child that is ended if it hangs."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        with os.fdopen(writer, "wb") as out:
            pickle.dump(work(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as source:
        result = source.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with status {status}"
    return pickle.loads(result)


@models
def test_a_child_fits_after_its_parent_s_threads_did(name):
    expected = bits(name)
    assert in_a_fork(lambda: bits(name)) == expected


def test_a_child_of_a_child_predicts_with_what_was_fitted():
    model = fitted("large")
    expected = model.predict_proba(LARGE)
    found = in_a_fork(lambda: in_a_fork(lambda: model.predict_proba(LARGE)))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model.predict_proba(LARGE), expected)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_of_every_kind(method):
    expected = [bits(name) for name in MODELS]
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.map_async(bits, MODELS).get(timeout=120) == expected


def test_a_fork_beside_busy_threads():
    # A child has none of its parent's other threads, so no lock may be theirs.
    model = fitted("small", net__units=(1,))
    some, many = SMALL[:9], np.tile(SMALL, (10, 1))
    expected = model.predict(some).tobytes()
    done = threading.Event()

    def keep_busy(units):
        while not done.is_set():
            for _ in range(300):
                model.predict(some)
            model.predict(many)
            fitted("small", max_iter=1, net__units=(units,))
            units += 2

    def work():
        assert len(model.predict(many)) == len(many)
        return model.predict(some).tobytes(), fitted("small").n_iter_

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(keep_busy, units) for units in (2, 3)]
        try:
            for _ in range(60):
                assert in_a_fork(work, seconds=20) == (expected, 2)
        finally:
            done.set()
        assert [one.result() for one in busy] == [None, None]


def test_a_fork_waits_for_a_cache_that_is_being_looked_into():
    looking = threading.Event()

    class Slow:
        def __hash__(self):
            looking.set()
            threading.Event().wait(0.2)
            return 1

    cache = Cache(2)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(cache.get, Slow(), lambda: "slow")
        looking.wait(60)
        assert in_a_fork(lambda: cache.get("quick", lambda: 1), seconds=20) == 1
        assert found.result() == "slow"


def test_what_leaves_a_cache_ends_after_its_lock():
    cache, held = Cache(1), []

    class Ends:
        def __del__(self):
            held.append(_LOCK.locked())

    for key in range(3):
        cache.get(key, Ends)
    # Two who make one value: the first leaves as the second comes.
    cache.get("same", lambda: cache.get("same", Ends) and Ends())
    cache.clear()
    assert held == [False] * 5


# -- threads ------------------------------


class Stop(Exception):
    pass


def test_python_goes_on_during_an_epoch():
    # The epoch would take minutes. It ends early only if another thread may run Python.
    begun = threading.Event()

    class Begin(callbacks.Callback):
        def on_fit_begin(self, state):
            begun.set()

    def interrupt(*_):
        raise Stop

    def look_and_stop():
        begun.wait(60)
        for _ in range(20):
            threading.Event().wait(0.005)
        os.kill(os.getpid(), signal.SIGUSR1)

    former = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=look_and_stop)
    thread.start()
    try:
        X = np.broadcast_to(LARGE, (400, *LARGE.shape)).reshape(-1, 64)
        clf = DNNClassifier((512, 512), max_iter=1, batch_size=8, callbacks=[Begin()])
        with pytest.raises(Stop):
            clf.fit(X, labels(X))
        assert not hasattr(clf, "classes_")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, former)


def test_two_fits_at_once_keep_step():
    # Each waits for the other after every epoch: in turn they would not end.
    both = threading.Barrier(2, timeout=60)

    class Wait(callbacks.Callback):
        def on_epoch_end(self, state):
            both.wait()

    def fit(seed):
        wait = {"callbacks": [Wait()], "random_state": seed, "max_iter": 4}
        return fitted("large", **wait).program_.params.tobytes()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fit, (1, 2)))
    for seed, result in zip((1, 2), found):
        alone = fitted("large", random_state=seed, max_iter=4)
        assert result == alone.program_.params.tobytes()


@pytest.mark.parametrize("fresh", [False, True], ids=["used", "unpickled"])
@pytest.mark.parametrize("name", ["small", "large"])
def test_many_threads_predict_with_one_estimator(name, fresh):
    model, X = fitted(name), MODELS[name][1]
    sizes = [1, 2, 7, 33, 100, 300]
    expected = [model.predict_proba(X[:n]) for n in sizes]
    if fresh:
        model = pickle.loads(pickle.dumps(model))
    start = threading.Barrier(6, timeout=60)

    def work(shift):
        start.wait()
        return [
            (i, model.predict_proba(X[: sizes[i]]))
            for round_ in range(30)
            for i in [(round_ + shift) % len(sizes)]
        ]

    with ThreadPoolExecutor(6) as pool:
        for results in pool.map(work, range(6)):
            for i, result in results:
                np.testing.assert_array_equal(result, expected[i])


@models
def test_clones_that_share_a_plan_fit_at_once(name):
    start = threading.Barrier(4, timeout=60)

    def fit(seed):
        start.wait()
        return bits(name, random_state=seed)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, [0, 1, 0, 1]))
    expected = [bits(name, random_state=seed) for seed in (0, 1)]
    assert found == expected * 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_fits_of_a_search_share_what_is_compiled(n_jobs):
    clf = clone(MODELS["small"][0]).set_params(net__units=(5,), batch_size=32)

    def search(rates):
        grid = {"learning_rate": rates, "random_state": [0, 1]}
        with joblib.parallel_config("threading", n_jobs=n_jobs):
            return GridSearchCV(clf, grid, cv=3).fit(SMALL, labels(SMALL))

    best = search([0.1]).best_estimator_
    compiled = engine.compile(best.program_.text)
    made = compiled.cache_info()["misses"]
    best = search([1e-4, 1e-3, 1e-2]).best_estimator_
    assert engine.compile(best.program_.text) is compiled
    assert compiled.cache_info()["misses"] == made


# -- limits ------------------------------

# Prints how many threads each of some fits adds to the process.
COUNT = textwrap.dedent(
    """
    import os, sys
    import numpy as np
    from threadpoolctl import threadpool_limits
    from slimlearn import DNNClassifier

    X = np.random.default_rng(0).normal(size=(1024, 64)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)

    def added(limit=None, **params):
        before = len(os.listdir("/proc/self/task"))
        with threadpool_limits(limit, user_api="openmp"):
            clf = DNNClassifier((512, 256), max_iter=1, batch_size=256, **params)
            clf.fit(X, y).predict(X)
        return len(os.listdir("/proc/self/task")) - before

    def main():
        print(added(1), added(n_threads=1), added(), added(n_threads=3), added(3))
    """
)


def run(folder, text, **environment):
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("allowed, expected", [("1", "0 0 0 0 2"), ("2", "0 0 1 0 1")])
def test_no_more_threads_than_allowed(tmp_path, allowed, expected):
    done = run(tmp_path, COUNT + "main()\n", OMP_NUM_THREADS=allowed)
    assert done.stdout.strip() == expected, done.stderr


def test_workers_have_as_many_threads_as_joblib_gives_them(tmp_path):
    done = run(
        tmp_path,
        COUNT
        + textwrap.dedent(
            """
            from joblib import Parallel, delayed, parallel_config

            if __name__ == "__main__":
                with parallel_config("loky", n_jobs=2, inner_max_num_threads=3):
                    print(*Parallel()(delayed(added)() for _ in range(2)))
            """
        ),
    )
    # Both fits may have come to one worker, whose threads stay.
    assert done.stdout.split() in (["2", "2"], ["2", "0"]), done.stderr


# -- what crosses to a worker and back ------------------------------


def test_what_main_defines_goes_to_workers(tmp_path):
    done = run(
        tmp_path,
        textwrap.dedent(
            """
            from sklearn.datasets import load_iris
            from sklearn.model_selection import GridSearchCV
            from slimlearn import NetworkClassifier, callbacks, layers, network
            from slimlearn.backend import ops

            @network
            def net(x, units=8):
                return layers.fully_connected(x, units)

            class Mine(callbacks.Callback):
                def __init__(self, limit=1):
                    self.limit = limit

                def on_epoch_end(self, state):
                    return state.epoch == self.limit

            def loss(raw, y):
                return ops.sparse_softmax_cross_entropy(raw, y)

            if __name__ == "__main__":
                X, y = load_iris(return_X_y=True)
                clf = NetworkClassifier(
                    net(), loss=loss, callbacks=[("mine", Mine())]
                )
                grid = {"net__units": [1, 4], "callbacks__mine__limit": [2, 3]}
                search = GridSearchCV(clf, grid, n_jobs=2, cv=2, error_score="raise")
                best = search.fit(X, y).best_estimator_
                print(best.n_iter_ == search.best_params_["callbacks__mine__limit"])
            """
        ),
    )
    assert done.stdout == "True\n", done.stderr


class Failing(callbacks.Callback):
    def on_epoch_end(self, state):
        raise RuntimeError("the disk is gone")


@network
def misfit(x):
    return layers.fully_connected(x, 4) @ x


MISTAKES = {
    "parameter": (DNNClassifier(max_iter=-1), SMALL, "'max_iter'"),
    "nan": (DNNClassifier(), SMALL * np.nan, "SimpleImputer"),
    "diverged": (DNNRegressor(optimizer="sgd", learning_rate=1e3), SMALL, "epoch"),
    "network": (NetworkClassifier(misfit()), SMALL, "matmul"),
    "callback": (
        DNNClassifier(max_iter=1, callbacks=[("mine", Failing())]),
        SMALL,
        "the disk is gone",
    ),
}


def mistake(name):
    model, X, _ = MISTAKES[name]
    try:
        clone(model).fit(X, labels(SMALL))
    except Exception as error:
        return error.with_traceback(None)
    return None


def told(error):
    return type(error), str(error), getattr(error, "__notes__", [])


def test_errors_come_back_from_workers():
    here = [mistake(name) for name in MISTAKES]
    for error, (_, _, words) in zip(here, MISTAKES.values()):
        assert words in str(error)
    far = joblib.Parallel(n_jobs=2)(joblib.delayed(mistake)(name) for name in MISTAKES)
    assert [told(error) for error in far] == [told(error) for error in here]
    if sys.version_info >= (3, 11):
        assert "'mine'" in far[-1].__notes__[0]


def test_an_error_ends_a_search_as_it_ends_a_fit():
    # By loky alone: joblib's multiprocessing may hang where a worker fails.
    model, X, words = MISTAKES["diverged"]
    with pytest.raises(ValueError, match=words):
        cross_val_score(model, X, X[:, 0], cv=2, n_jobs=2, error_score="raise")


@pytest.mark.parametrize(
    "error",
    [
        slimlearn.NativeError("native text"),
        callbacks.FitStopped("disk full"),
        ValueError("[matmul fc1/matmul] inner dimensions differ"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_pickled_with_their_text(error):
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error) and str(twin) == str(error)
