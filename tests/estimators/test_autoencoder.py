"""Autoencoder: the code of X, X back from it, and what it is trained on."""

import doctest
import logging
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import slimlearn.estimators.autoencoder
from slimlearn import Autoencoder, Huber, NetworkRegressor, layers, network
from slimlearn.backend import ops
from slimlearn.estimators import handle, summary
from slimlearn.estimators.callbacks import EpochScoring

DIGITS = load_digits().data / 16
X = np.random.RandomState(0).normal(size=(60, 3)) @ np.random.RandomState(1).normal(
    size=(3, 6)
)
FEW = {"hidden_units": (5, 3), "max_iter": 4, "random_state": 0}


def test_example_in_the_docstring():
    result = doctest.testmod(slimlearn.estimators.autoencoder)
    assert result.attempted and not result.failed


def test_layers_stand_as_hidden_units_says():
    ae = Autoencoder((7, 5, 2), max_iter=1, random_state=0).fit(X)
    names = [line.split()[0] for line in ae.summary().splitlines()[2:-1]]
    assert names == [
        *("encoder1", "encoder2", "code", "decoder1", "decoder2", "reconstruction")
    ]
    shapes = [weights.shape for weights in ae.coefs_]
    assert shapes == [(6, 7), (7, 5), (5, 2), (2, 5), (5, 7), (7, 6)]
    assert ae.transform(X).min() < 0
    bounded = Autoencoder(3, code_activation="sigmoid", max_iter=1).fit(X)
    code = bounded.transform(X)
    assert code.shape == (60, 3) and code.min() > 0 and code.max() < 1
    for wrong in ((), (3, 0), (3, 2.5)):
        with pytest.raises(ValueError, match="'hidden_units' parameter"):
            Autoencoder(wrong).fit(X)


def test_a_linear_one_comes_to_what_pca_finds():
    data = X + 0.1 * np.random.RandomState(2).normal(size=X.shape)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    pca = PCA(3).fit(data)
    best = r2_score(data, pca.inverse_transform(pca.transform(data)))
    ae = Autoencoder(3, optimizer="lbfgs", max_iter=1000, random_state=0, tol=1e-6)
    assert ae.fit(data).score(data) == pytest.approx(best, abs=1e-4)


def test_it_beats_pca_of_as_many_numbers():
    ae = Autoencoder((64, 8), max_iter=30, random_state=0).fit(DIGITS[:1500])
    pca = PCA(8).fit(DIGITS[:1500])
    rest = DIGITS[1500:]
    linear = ((pca.inverse_transform(pca.transform(rest)) - rest) ** 2).mean()
    assert ((ae.reconstruct(rest) - rest) ** 2).mean() < linear


def test_code_and_back_are_the_reconstruction_bit_by_bit():
    for data in (X, X.astype(np.float32), np.tile(X, (400, 1))):
        ae = Autoencoder(**FEW).fit(data)
        code = ae.transform(data)
        assert code.dtype == (np.float64 if len(data) == 60 and data is X else "f4")
        np.testing.assert_array_equal(ae.inverse_transform(code), ae.reconstruct(data))
        again = pickle.loads(pickle.dumps(ae))
        np.testing.assert_array_equal(again.transform(data), code)
        np.testing.assert_array_equal(ae.fit_transform(data), code)


@network
def hourglass(x, num_outputs):
    net = layers.fully_connected(x, 5, scope="encoder1")
    net = layers.linear(net, 3, scope="code")
    net = layers.fully_connected(net, 5, scope="decoder1")
    return layers.linear(net, num_outputs, scope="reconstruction")


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error", Huber(2)])
def test_it_learns_as_a_regressor_of_x(loss):
    weights = np.random.RandomState(3).randint(0, 3, len(X)).astype(float)
    shared = {"loss": loss, "max_iter": 5, "random_state": 0}
    ae = Autoencoder((5, 3), **shared).fit(X, None, weights)
    reg = NetworkRegressor(hourglass(), **shared).fit(X, X, weights)
    np.testing.assert_allclose(ae.loss_curve_, reg.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(ae.reconstruct(X), reg.predict(X), rtol=1e-9)


def test_the_loss_is_in_the_units_of_x():
    ae = Autoencoder(**FEW).fit(X, X_val=X[:20])
    found = ((ae.reconstruct(X[:20]) - X[:20]) ** 2).mean()
    assert ae.validation_loss_curve_[-1] == pytest.approx(found)
    large = Autoencoder(**FEW).fit(1000 * X, X_val=1000 * X[:20])
    found = ((large.reconstruct(1000 * X[:20]) - 1000 * X[:20]) ** 2).mean()
    assert large.validation_loss_curve_[-1] == pytest.approx(found)


def test_score_is_r2_of_the_reconstruction():
    weights = np.random.RandomState(3).uniform(size=len(X))
    ae = Autoencoder(**FEW).fit(X)
    found = ae.reconstruct(X)
    assert ae.score(X) == pytest.approx(r2_score(X, found), rel=1e-12)
    assert ae.score(X, sample_weight=weights) == pytest.approx(
        r2_score(X, found, sample_weight=weights), rel=1e-12
    )
    with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
        assert np.isnan(ae.score(X[:1]))
    assert len(cross_val_score(ae, X, cv=3)) == 3


def test_score_never_holds_the_whole_reconstruction(monkeypatch):
    ae = Autoencoder(**FEW).fit(X)
    wanted, rows = ae.score(X), []
    monkeypatch.setattr(handle, "NUMBERS", 10 * X.shape[1])
    decode = ae._head.decode
    monkeypatch.setattr(
        ae._head, "decode", lambda raw: (rows.append(len(raw)), decode(raw))[1]
    )
    assert ae.score(X) == pytest.approx(wanted, rel=1e-12)
    assert sum(rows) == len(X) and max(rows) <= 10


def test_constant_columns_come_back_exactly():
    data = np.column_stack([X, np.full(len(X), 7.5)])
    ae = Autoencoder(**FEW).fit(data, X_val=data)
    assert (ae.reconstruct(data)[:, -1] == 7.5).all()
    found = ((ae.reconstruct(data) - data) ** 2).mean()
    assert ae.validation_loss_curve_[-1] == pytest.approx(found)


def test_noise_on_the_input_leaves_the_targets_whole():
    ae = Autoencoder((16,), input_dropout=0.3, max_iter=200, random_state=0).fit(X)
    plain = Autoencoder((16,), max_iter=200, random_state=0).fit(X)
    assert ae.loss_ > 2 * plain.loss_
    assert ae.score(X) > 0.9
    damaged = X * (np.random.RandomState(5).uniform(size=X.shape) > 0.3)

    def error(model):
        return ((model.reconstruct(damaged) - X) ** 2).mean()

    assert error(ae) < error(plain)


def test_one_column_and_one_row():
    column = X[:, :1]
    ae = Autoencoder(2, max_iter=3).fit(column)
    assert ae.reconstruct(column).shape == (60, 1)
    assert ae.inverse_transform(ae.transform(column[:1])).shape == (1, 1)


def test_nothing_of_x_is_copied_for_the_targets(monkeypatch):
    data = np.asarray(X, np.float32)
    sources = []
    from slimlearn.backend import training

    kept = training.make_trainer

    def watch(native, program, part, *rest):
        sources.append(part.sources)
        return kept(native, program, part, *rest)

    monkeypatch.setattr(training, "make_trainer", watch)
    Autoencoder(**FEW).fit(data)
    assert list(sources[0]) == ["X"] and sources[0]["X"] is data


def test_warm_start_and_partial_fit_go_on():
    whole = Autoencoder(**FEW | {"max_iter": 8}).fit(X)
    warm = Autoencoder(warm_start=True, **FEW).fit(X)
    assert warm.fit(X).n_iter_ == 8
    assert warm.loss_ == pytest.approx(whole.loss_, rel=0.5)
    partly = Autoencoder(**FEW).partial_fit(X[:30])
    scale = partly._head.scale
    partly.partial_fit(X[30:] * 5)
    assert partly.n_iter_ == 2 and partly._head.scale is scale
    assert not hasattr(Autoencoder(optimizer="lbfgs"), "partial_fit")


def test_chunks_are_rows_alone():
    whole = Autoencoder(**FEW).fit(X)
    one = Autoencoder(**FEW).fit_chunks([X])
    np.testing.assert_array_equal(one.reconstruct(X), whole.reconstruct(X))
    weights = np.ones(30)
    for chunks in (
        [X[:30], X[30:]],
        [(X[:30], None, weights), (X[30:], None, weights)],
    ):
        ae = Autoencoder(**FEW).fit_chunks(chunks, X_val=X)
        np.testing.assert_allclose(ae._head.center, X.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(ae._head.scale, X.std(axis=0))
        assert len(ae.validation_loss_curve_) == 4
    with pytest.raises(ValueError, match=r"chunk 2: .*5 features"):
        Autoencoder().fit_chunks([X, X[:, :5]])


def test_moments_of_many_rows_are_found_block_by_block(monkeypatch):
    weights = np.random.RandomState(3).randint(1, 4, len(X)).astype(float)
    whole = Autoencoder(**FEW).fit(X, None, weights)
    monkeypatch.setattr(summary, "_BLOCK", 64)
    parts = Autoencoder(**FEW).fit(X, None, weights)
    np.testing.assert_allclose(parts._head.center, whole._head.center, atol=1e-12)
    np.testing.assert_allclose(parts._head.scale, whole._head.scale)


def test_early_stopping_and_scores():
    ae = Autoencoder((5, 3), early_stopping=True, random_state=0, tol=0.5).fit(X)
    assert ae.n_iter_ < 100 and ae.validation_loss_curve_

    def closeness(estimator, rows, targets):
        assert rows is targets or np.array_equal(rows, targets)
        return -abs(estimator.reconstruct(rows) - targets).mean()

    ae = Autoencoder(scoring=closeness, early_stopping=True, **FEW).fit(X)
    assert len(ae.validation_scores_) == 4
    callbacks = [EpochScoring(closeness, on="train", name="close")]
    ae = Autoencoder(callbacks=callbacks, **FEW).fit(X)
    assert ae.history_.columns["close"][-1] == pytest.approx(closeness(ae, X, X))
    with pytest.raises(ValueError, match="'scoring' parameter"):
        Autoencoder(scoring="r2").fit(X)


def test_an_own_loss_gets_scaled_columns():
    def fourth(raw, x):
        return ops.reduce_mean(ops.square(ops.square(ops.sub(raw, x))), [1])

    near = Autoencoder(loss=fourth, max_iter=20, random_state=0).fit(X)
    assert near.loss_ < 0.5 * near.loss_curve_[0]
    raw = near.activations(X, "reconstruction")
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    assert ((raw - scaled) ** 4).mean() == pytest.approx(near.loss_, rel=0.5)


def test_shares_come_back_as_shares():
    data = DIGITS[:300]
    options = {"loss": "log_loss", "max_iter": 60, "random_state": 0}
    ae = Autoencoder((32, 8), learning_rate=0.01, **options).fit(data, X_val=data)
    back = ae.reconstruct(data)
    assert back.min() >= 0 and back.max() <= 1 and ae.score(data) > 0.4
    np.testing.assert_array_equal(ae.inverse_transform(ae.transform(data)), back)
    loss = -(data * np.log(back) + (1 - data) * np.log1p(-back)).mean()
    assert ae.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-4)
    means = data.mean(axis=0).clip(1e-4, 1 - 1e-4)
    entropy = -(means * np.log(means) + (1 - means) * np.log(1 - means)).mean()
    assert ae.loss_ < 0.9 * entropy
    bits = Autoencoder(4, **options).fit(data > 0.5)
    assert bits.reconstruct(data > 0.5).shape == data.shape
    for wrong in (2 * data, -data):
        with pytest.raises(ValueError, match=r"needs X from 0 to 1.*MinMaxScaler"):
            Autoencoder(loss="log_loss").fit(wrong)
    with pytest.raises(ValueError, match=r"chunk 2: .*from 0 to 1"):
        Autoencoder(loss="log_loss").fit_chunks([data, 2 * data])


def test_arrays_of_other_libraries_come_back_as_their_own():
    xp = pytest.importorskip("array_api_strict")
    try:
        with sklearn.config_context(array_api_dispatch=True):
            check_other_library(xp)
    except ImportError as error:
        pytest.skip(f"this scikit-learn has no array API here: {error}")


def check_other_library(xp):
    rows = xp.asarray(X)
    ae = Autoencoder(**FEW).fit(rows)
    code = ae.transform(rows)
    plain = Autoencoder(**FEW).fit(X).reconstruct(X)
    for found in (ae.inverse_transform(code), ae.reconstruct(rows)):
        assert isinstance(found, type(rows))
        np.testing.assert_array_equal(np.asarray(found), plain)
    with pytest.raises(ValueError, match=r"inverse_transform\(\) must use"):
        ae.inverse_transform(np.asarray(code))


def test_frames_pipelines_and_searches():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    ae = Autoencoder(**FEW).set_output(transform="pandas").fit(frame)
    assert list(ae.transform(frame).columns) == [f"autoencoder{i}" for i in range(3)]
    assert ae.inverse_transform(ae.transform(frame)).shape == (60, 6)
    assert ae.score(frame) == pytest.approx(clone(ae).fit(X).score(X))
    y = X[:, 0] > 0
    model = make_pipeline(StandardScaler(), Autoencoder(**FEW), KNeighborsClassifier())
    grid = {"autoencoder__hidden_units": [(2,), (4, 2)]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.5
    back = make_pipeline(StandardScaler(), Autoencoder(**FEW)).fit(X)
    assert back.inverse_transform(back.transform(X)).shape == X.shape


def test_what_is_refused():
    ae = Autoencoder(**FEW).fit(X)
    with pytest.raises(ValueError, match="5 columns, the code of Autoencoder has 3"):
        ae.inverse_transform(X[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        ae.inverse_transform(np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match="Input X contains NaN in columns"):
        Autoencoder().fit(np.where(X > 1, np.nan, X))
    with pytest.raises(ValueError, match="6 features"):
        ae.fit(X, X_val=X[:, :4])
    with pytest.raises(ValueError, match="sample_weight_val needs X_val"):
        ae.fit(X, sample_weight_val=np.ones(60))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        Autoencoder().fit(sparse.csr_array(X))
    with pytest.raises(ValueError, match=r"X is too large.*divide X by that"):
        Autoencoder().fit(X * 1e300)
    for loss in ("poisson", "quantile", "focal"):
        with pytest.raises(ValueError, match="'loss' parameter"):
            Autoencoder(loss=loss).fit(X)


def test_it_is_told_and_profiled(caplog):
    with caplog.at_level(logging.DEBUG, logger="slimlearn"):
        ae = Autoencoder(**FEW).fit(X)
    assert len([r for r in caplog.records if "loss=" in r.message]) == 4
    assert any(row["op"] for row in ae.profile(X, steps=2))


@pytest.mark.parametrize("around", [lambda model: model, make_pipeline])
def test_a_score_of_one_row_warns_of_the_line_that_asked(around):
    model = around(Autoencoder((2,), max_iter=1)).fit(np.eye(4))
    with pytest.warns(UndefinedMetricWarning, match="less than two samples") as told:
        assert np.isnan(model.score(np.eye(4)[:1]))
    assert told[0].filename == __file__
