"""Losses of several numbers per target: Gaussian, mixtures, and the user's own."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import laplace as laplace_law
from scipy.stats import nbinom, norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.reference_runtime import ReferenceModel

from slimlearn import (
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    Gaussian,
    GaussianMixture,
    LinearRegressor,
    NetworkRegressor,
    layers,
    loss,
    ops,
)
from slimlearn.backend import training

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
DEVIATION = np.exp(0.5 * X[:, 1])
Y = 50 + 3 * X[:, 0] + DEVIATION * RNG.normal(size=600)
BOTH = np.c_[Y, 1e-3 * Y - 7 * X[:, 2]]
EXACT = {"tol": 1e-7, "max_iter": 3000}


@loss(
    outputs=2,
    mean=lambda raw: raw[..., 0],
    std=lambda raw, least: np.sqrt(2) * np.exp(np.maximum(raw[..., 1], np.log(least))),
)
def laplace(raw, y, least=1e-3):
    """A distribution of the user's own."""
    center, width = raw[..., 0], ops.exp(ops.maximum(raw[..., 1], np.log(least)))
    return ops.abs(y - center) / width + ops.log(width) + np.log(2.0)


@loss(
    outputs=lambda n_bins: n_bins,
    mean=lambda raw: raw.argmax(axis=-1).astype(float),
    scaled=False,
)
def binned(raw, y, n_bins=3):
    """The number of a bin as a class, for one target."""
    return layers.per_example.sparse_softmax_cross_entropy(raw, ops.cast(y, "i32"))


# -- formulas ------------------------------


def raw_of(est):
    return est._values("predict", X)


@pytest.mark.parametrize("target", [Y, Y[:, None], BOTH], ids=["n", "n1", "n2"])
@pytest.mark.parametrize("kind", [LinearRegressor, DNNRegressor])
@pytest.mark.parametrize("weights", [None, np.arange(600) % 3], ids=["", "weighted"])
def test_the_gaussian_loss_is_scipy_s_density_in_y_s_units(kind, target, weights):
    est = kind(loss="gaussian", precision="float64", max_iter=5, optimizer="adam")
    est.set_params(random_state=0, learning_rate=0.01)
    held = {"X_val": X, "y_val": target, "sample_weight_val": weights}
    mean, std = est.fit(X, target, **held).predict(X, return_std=True)
    assert mean.shape == std.shape == target.shape
    assert np.array_equal(mean, est.predict(X))
    density = norm.logpdf(target, mean, std).reshape(600, -1).mean(axis=1)
    wanted = -np.average(density, weights=weights)
    assert est.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("target", [Y, BOTH], ids=["n", "n2"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_mixture_s_loss_is_scipy_s_density(target, count):
    est = DNNRegressor((8,), loss=GaussianMixture(n_components=count), max_iter=3)
    est.set_params(precision="float64", learning_rate=0.01, random_state=0)
    mean, std = est.fit(X, target, X_val=X, y_val=target).predict(X, return_std=True)
    raw = raw_of(est).reshape(600, -1, 3, count)
    shares = np.exp(raw[:, :, 0] - logsumexp(raw[:, :, 0], axis=-1, keepdims=True))
    scale, center = target.std(axis=0), target.mean(axis=0)
    means = raw[:, :, 1] * np.reshape(scale, (-1, 1)) + np.reshape(center, (-1, 1))
    widths = (np.logaddexp(0, raw[:, :, 2]) + 1e-2) * np.reshape(scale, (-1, 1))
    density = norm.pdf(target.reshape(600, -1, 1), means, widths)
    wanted = -np.log((shares * density).sum(axis=-1)).mean()
    assert est.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-9)
    first = (shares * means).sum(axis=-1)
    second = (shares * (widths**2 + means**2)).sum(axis=-1)
    np.testing.assert_allclose(mean, first.reshape(target.shape), rtol=1e-10)
    wanted = np.sqrt(second - first**2).reshape(target.shape)
    np.testing.assert_allclose(std, wanted, rtol=1e-6)


def test_a_mixture_of_one_is_a_gaussian():
    fits = []
    for one in (Gaussian(min_std=0.01), GaussianMixture(n_components=1)):
        est = LinearRegressor(loss=one, **EXACT).fit(X, Y)
        fits.append(est.predict(X, return_std=True))
    np.testing.assert_allclose(fits[0], fits[1], rtol=1e-3)


# What PyTorch 2.13 gives: torch.nn.GaussianNLLLoss(full=True, reduction="none") of
# mean, y and std ** 2; and -log_prob(y), mean and stddev of torch.distributions'
# MixtureSameFamily of Categorical(logits=shares) and Normal(means, widths).
PYTORCH = [
    (0.0, 0.0, 1.0, 0.9189385332046727),
    (1.5, -0.5, 0.25, 31.532644172084783),
    (-3.0, 2.0, 2.0, 4.737085713764618),
    (0.1, 0.1, 0.05, -2.076793740349318),
]
SHARES, MEANS, WIDTHS = (0.3, -1.0, 0.7), (-2.0, 0.5, 4.0), (0.3, 1.0, 2.5)
PYTORCH_MIXTURE = {
    -2.0: 0.7182243593458167,
    0.0: 2.8361105712501313,
    1.0: 2.5687997833961225,
    9.0: 4.452037139033391,
}


def at(numbers, one, y):
    """Mean, deviation and loss of y, by a network that gives these numbers."""
    nothing, target = np.zeros((2, 1)), np.array([-1.0, 1.0])  # scaled as it is
    est = LinearRegressor(loss=one, optimizer="sgd", learning_rate=1e-30, max_iter=1)
    est.set_params(precision="float64", warm_start=True).fit(nothing, target)
    est.set_weights({"linear": {"biases": numbers}})
    est.fit(nothing, target, X_val=nothing[:1], y_val=[y])
    return *est.predict(nothing[:1], return_std=True), est.validation_loss_curve_[-1]


def raw_width(std, least):
    return np.log(np.expm1(np.subtract(std, least)))


@pytest.mark.parametrize("mean, y, std, wanted", PYTORCH)
def test_the_gaussian_loss_is_pytorch_s(mean, y, std, wanted):
    for one in (Gaussian(min_std=0.01), GaussianMixture(1)):
        share = () if isinstance(one, Gaussian) else (0.0,)
        found = at([*share, mean, raw_width(std, 0.01)], one, y)
        np.testing.assert_allclose(np.hstack(found), [mean, std, wanted], rtol=1e-12)


@pytest.mark.parametrize("y", PYTORCH_MIXTURE)
def test_the_mixture_s_loss_is_pytorch_s(y):
    numbers = [*SHARES, *MEANS, *raw_width(WIDTHS, 0.01)]
    found = np.hstack(at(numbers, GaussianMixture(3), y))
    wanted = [1.484455677451232, 3.3773816692529666, PYTORCH_MIXTURE[y]]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


# -- what is learned ------------------------------


def test_mean_and_deviation_are_found():
    est = LinearRegressor(loss="gaussian", **EXACT).fit(X, Y)
    mean, std = est.predict(X, return_std=True)
    assert np.abs(mean - 50 - 3 * X[:, 0]).max() < 0.5
    assert np.corrcoef(np.log(std), np.log(DEVIATION))[0, 1] > 0.95
    inside = np.abs(Y - mean) < 1.96 * std
    assert 0.93 < inside.mean() < 0.97
    assert est.coef_.shape == (2, 3) and est.intercept_.shape == (2,)
    np.testing.assert_allclose(est.coef_[0] @ X.T + est.intercept_[0], mean)


def test_a_mixture_finds_two_branches():
    side = RNG.choice([-1.0, 1.0], size=600)
    y = 10 + side * (2 + X[:, 0]) + 0.1 * RNG.normal(size=600)
    options = {"learning_rate": 0.01, "max_iter": 60, "random_state": 0}
    plain = DNNRegressor((16,), loss="gaussian", **options).fit(X, y)
    mixed = DNNRegressor((16,), loss=GaussianMixture(2), **options).fit(X, y)
    assert mixed.loss_ < plain.loss_ - 1.0
    mean, std = mixed.predict([[1.0, 0.0, 0.0]], return_std=True)
    assert abs(mean[0] - 10) < 0.7 and abs(std[0] - 3) < 0.4


def test_components_of_a_linear_mixture_do_not_stay_alike():
    y = 10 + RNG.choice([-2.0, 2.0], size=600) + 0.1 * RNG.normal(size=600)
    est = LinearRegressor(loss=GaussianMixture(2), **EXACT).fit(X, y)
    means = raw_of(est)[0, 2:4] * y.std() + y.mean()
    np.testing.assert_allclose(means, [8, 12], atol=0.1)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("one", ["gaussian", "gaussian_mixture"])
def test_units_of_y_do_not_matter(one, precision, scale):
    est = DNNRegressor((6,), loss=one, max_iter=5, random_state=0, precision=precision)
    wanted = clone(est).fit(X, Y)
    est.fit(X, Y * scale)
    for a, b in zip(est.predict(X, return_std=True), wanted.predict(X, return_std=1)):
        np.testing.assert_allclose(a / scale, b, rtol=1e-3)
    assert est.loss_ == pytest.approx(wanted.loss_ + np.log(scale), rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("one", ["gaussian", "gaussian_mixture", Gaussian(1e-6)])
def test_what_is_known_for_sure_stays_finite(one, precision):
    """Targets without noise, constant ones, and a far outlier."""
    sure, far = X @ [1.0, 2.0, 3.0], np.where(np.arange(600) == 7, 1e6, Y)
    for target in (sure, np.full(600, 3.0), far, np.c_[sure, np.full(600, 3.0)]):
        est = DNNRegressor((8,), loss=one, learning_rate=0.05, max_iter=60)
        est.set_params(precision=precision, random_state=0).fit(X, target)
        mean, std = est.predict(X, return_std=True)
        assert np.isfinite(est.loss_curve_).all()
        assert np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()


def test_training_is_the_reference_s(monkeypatch):
    weights = np.random.RandomState(0).randint(0, 3, 600)
    cases = [
        (DNNRegressor((6,), loss="gaussian"), Y),
        (DNNRegressor((6,), loss="gaussian", early_stopping=True), BOTH),
        (DNNRegressor((6,), loss="gaussian_mixture"), Y),
        (DNNRegressor((6,), loss=GaussianMixture(2), early_stopping=True), BOTH),
        (DNNRegressor((6,), loss=laplace()), BOTH),
    ]
    native, options = [], {"max_iter": 2, "random_state": 0, "precision": "float64"}
    for est, target in cases:
        native.append(est.set_params(**options).fit(X, target, weights))
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    for (est, target), fitted in zip(cases, native):
        peer = clone(est).fit(X, target, weights)
        np.testing.assert_allclose(fitted.loss_curve_, peer.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(
            fitted.validation_loss_curve_, peer.validation_loss_curve_, rtol=1e-9
        )
        found, wanted = (e.predict(X, return_std=True) for e in (fitted, peer))
        np.testing.assert_allclose(found, wanted, rtol=1e-7)


# -- quantiles ------------------------------

LEVELS = (0.9, 0.01, 0.5)


@pytest.mark.parametrize("target", [Y, Y[:, None], BOTH], ids=["n", "n1", "n2"])
@pytest.mark.parametrize("one", ["gaussian", GaussianMixture(1)], ids=str)
def test_quantiles_of_a_gaussian_are_scipy_s(one, target):
    est = DNNRegressor((8,), loss=one, quantile=LEVELS, max_iter=3, random_state=0)
    est.fit(X, target)
    mean, std = est.predict(X, return_std=True)
    found = est.predict_quantiles(X)
    wanted = norm.ppf(LEVELS, mean[..., None], std[..., None])
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    twice = make_pipeline("passthrough", est).predict(X, return_quantiles=True)
    assert np.array_equal(twice[0], mean) and np.array_equal(twice[1], found)
    with pytest.raises(ValueError, match="one at a time"):
        est.predict(X, return_std=True, return_quantiles=True)
    plain = clone(est).set_params(quantile=None).fit(X, target)
    assert np.array_equal(plain.predict(X), mean)
    assert not hasattr(plain, "predict_quantiles")


@pytest.mark.parametrize("quantile", [0.3, LEVELS, tuple(np.arange(1, 100) / 100)])
@pytest.mark.parametrize("target", [Y, BOTH], ids=["n", "n2"])
def test_quantiles_of_a_mixture_have_their_shares_below(target, quantile):
    est = DNNRegressor((8,), loss="gaussian_mixture", quantile=quantile, max_iter=5)
    found = est.set_params(random_state=0).fit(X, target).predict_quantiles(X)
    assert found.shape == (*target.shape, np.size(quantile))
    raw = raw_of(est).reshape(*target.shape, 1, 9)
    shares = np.exp(raw[..., :3])
    shares /= shares.sum(axis=-1, keepdims=True)
    scaled = (found - target.mean(axis=0)[..., None]) / target.std(axis=0)[..., None]
    widths = np.logaddexp(0, raw[..., 6:]) + 1e-2
    below = (shares * norm.cdf(scaled[..., None], raw[..., 3:6], widths)).sum(axis=-1)
    wanted = np.broadcast_to(quantile, found.shape)
    np.testing.assert_allclose(below, wanted, rtol=1e-9)


def test_quantiles_between_components_far_apart():
    one, last = GaussianMixture(2, min_std=1e-6), np.log(np.expm1(1e-3 - 1e-6))
    raw = np.array([[-20.0, 0, -1e6, 1e6, last, last], [0, 0, -1e6, 1e6, last, last]])
    found = one.quantiles(raw, np.array([1e-12, 0.25, 0.75, 1 - 1e-9]))
    np.testing.assert_allclose(found[0], [-1e6, 1e6, 1e6, 1e6], rtol=1e-8)
    np.testing.assert_allclose(found[1], [-1e6, -1e6, 1e6, 1e6], rtol=1e-8)


# -- the ways of an estimator ------------------------------


@pytest.mark.parametrize("one", ["gaussian", GaussianMixture(2), laplace()], ids=str)
@pytest.mark.parametrize("target", [Y, BOTH], ids=["n", "n2"])
def test_fits_go_on_and_are_copied(one, target):
    est = DNNRegressor((6,), loss=one, max_iter=2, random_state=0, warm_start=True)
    twin = pickle.loads(pickle.dumps(clone(est).fit(X, target)))
    found = twin.predict(X, return_std=True)
    np.testing.assert_array_equal(est.fit(X, target).predict(X, return_std=True), found)
    assert twin.fit(X, target).n_iter_ == 4
    chunks = clone(est).fit_chunks([(X, target)])
    np.testing.assert_array_equal(chunks.predict(X, return_std=True), found)
    few = clone(est).partial_fit(X, target).partial_fit(X, target)
    assert few.predict(X, return_std=True)[1].shape == target.shape
    est.fit(X, target).set_params(loss="squared_error")
    assert est.predict(X, return_std=True)[1].shape == target.shape
    with pytest.raises(ValueError, match="set warm_start=False, or the former loss"):
        est.fit(X, target)


def test_deviations_pass_through_a_pipeline():
    est = DNNRegressor((6,), loss="gaussian", max_iter=2, random_state=0)
    pipe = make_pipeline(StandardScaler(), est).fit(X, Y)
    mean, std = pipe.predict(X, return_std=True)
    assert np.array_equal(mean, pipe.predict(X)) and std.shape == (600,)
    assert pipe.score(X, Y) == pytest.approx(
        1 - ((Y - mean) ** 2).sum() / ((Y - Y.mean()) ** 2).sum()
    )
    assert cross_val_predict(pipe, X, Y, cv=2).shape == (600,)


def test_parameters_of_distributions_are_searched():
    est = DNNRegressor((4,), loss=GaussianMixture(), max_iter=1, random_state=0)
    grid = {"loss__n_components": [1, 2], "loss__min_std": [0.01, 0.1]}
    found = GridSearchCV(est, grid, cv=2).fit(X, Y).best_estimator_
    assert found.coefs_[-1].shape[1] == 3 * found.loss.n_components
    # A later parameter changes no fit.
    std = found.predict(X, return_std=True)[1]
    found.set_params(loss__min_std=5.0)
    assert np.array_equal(found.predict(X, return_std=True)[1], std)


def test_a_network_is_told_how_many_numbers_it_has_to_give():
    told = []

    def net(x, num_outputs):
        told.append(num_outputs)
        return layers.linear(x, num_outputs, scope="out")

    for one, count in (("gaussian", 2), (GaussianMixture(4), 12), (laplace(), 2)):
        for target, targets in ((Y, 1), (BOTH, 2)):
            est = NetworkRegressor(net, loss=one, max_iter=1).fit(X, target)
            assert told.pop() == count * targets
            assert est.predict(X, return_std=True)[1].shape == target.shape


@pytest.mark.parametrize("one", ["squared_error", "poisson", "huber"])
def test_deviations_of_other_losses_are_refused(one):
    est = DNNRegressor((4,), loss=one, max_iter=1)
    with pytest.raises(NotFittedError):
        est.predict(X, return_std=True)
    est.fit(X, np.abs(Y))
    with pytest.raises(ValueError, match="such as loss='gaussian'"):
        est.predict(X, return_std=True)


@pytest.mark.parametrize(
    "one, told",
    [
        (Gaussian(min_std=0.0), "'min_std' parameter of Gaussian must be a number > 0"),
        (GaussianMixture(0), "'n_components' parameter of GaussianMixture"),
        (GaussianMixture(1.5), "must be a whole number >= 1"),
        (Gaussian, r"pass Gaussian\(\)"),
    ],
    ids=str,
)
def test_parameters_out_of_range(one, told):
    with pytest.raises(ValueError, match=told):
        DNNRegressor(loss=one).fit(X, Y)


# -- the user's own ------------------------------


@pytest.mark.parametrize("target", [Y, BOTH], ids=["n", "n2"])
def test_a_distribution_of_one_s_own(target):
    est = DNNRegressor((8,), loss=laplace(least=0.1), precision="float64", max_iter=20)
    est.set_params(random_state=0).fit(X, target, X_val=X, y_val=target)
    mean, std = est.predict(X, return_std=True)
    # It is reported as it is, on the scaled targets.
    density = laplace_law.logpdf(target, mean, std / np.sqrt(2))
    wanted = -(density + np.log(target.std(axis=0))).mean()
    assert est.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-9)
    assert (std / target.std(axis=0)).min() >= 0.1
    search = GridSearchCV(est.set_params(max_iter=1), {"loss__least": [0.1, 1.0]}, cv=2)
    assert search.fit(X, target).best_params_["loss__least"] in (0.1, 1.0)


def test_how_many_numbers_may_depend_on_parameters():
    classes = np.digitize(X[:, 0], [-0.5, 0.5])
    est = DNNRegressor((8,), loss=binned(), learning_rate=0.01, random_state=0)
    found = est.fit(X, classes).predict(X)
    assert (found == classes).mean() > 0.95
    assert est.set_params(loss__n_bins=7).fit(X, classes).coefs_[-1].shape == (8, 7)
    with pytest.raises(ValueError, match="knows deviations"):
        est.predict(X, return_std=True)


def test_a_loss_may_see_y_as_it_is():
    @loss(outputs=1, mean=lambda raw: np.exp(raw[..., 0]), scaled=False)
    def negative_binomial(raw, y, size=2.0):
        mean = ops.exp(raw[..., 0])
        return ops.log(mean + size) * (y + size) - y * raw[..., 0]

    rate = np.exp(1 + 0.5 * X[:, 0])
    y = nbinom.rvs(2.0, 2.0 / (2.0 + rate), random_state=0)
    est = LinearRegressor(loss=negative_binomial(), **EXACT).fit(X, y)
    assert est.intercept_[0] == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(est.coef_[0], [0.5, 0, 0], atol=0.1)
    np.testing.assert_allclose(est.predict(X).mean(), y.mean(), rtol=0.01)


def test_what_predictions_are_made_of_is_checked():
    for mean, told in (
        (lambda raw: raw, r"of raw \(600, 2\) an array \(600,\)"),
        (lambda raw: None, r"it returned object \(\)"),
    ):

        @loss(outputs=2, mean=mean)
        def own(raw, y):
            return ops.square(raw[..., 0] - y) + raw[..., 1]

        est = DNNRegressor((4,), loss=own(), max_iter=1).fit(X, Y)
        with pytest.raises(ValueError, match=f"mean of loss own must ret.*{told}"):
            est.predict(X)


def test_losses_of_several_numbers_are_for_regressors():
    with pytest.raises(ValueError, match=r"laplace.* is for regressors"):
        DNNClassifier(loss=laplace()).fit(X, Y > 50)
    with pytest.raises(ValueError, match=r"laplace.* is for regressors"):
        Autoencoder(loss=laplace()).fit(X)
    with pytest.raises(ValueError, match="belong together"):
        DNNRegressor(loss=laplace(), quantile=0.5).fit(X, Y)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"outputs": 2}, r"a prediction is of outputs=2 numbers: .*mean="),
        ({"mean": np.exp}, "say how many, as in @loss"),
        ({"std": np.exp}, "say how many, as in @loss"),
        ({"outputs": 0, "mean": len}, "whole number of at least 1; got 0"),
        ({"outputs": True, "mean": len}, "whole number of at least 1; got True"),
        ({"outputs": 2.0, "mean": len}, "whole number of at least 1; got 2.0"),
        ({"outputs": 2, "mean": 0}, "mean must be a function; got 0"),
        (
            {"outputs": 2, "mean": lambda raw, width: raw},
            "mean takes 'width', which is no parameter of the loss; it has: delta",
        ),
        (
            {"outputs": lambda n: n, "mean": len},
            "outputs takes 'n', which is no parameter",
        ),
    ],
)
def test_parts_that_do_not_go_together(options, told):
    with pytest.raises(TypeError, match=f"@loss own: .*{told}"):

        @loss(**options)
        def own(raw, y, delta=1.0):
            return raw


def test_how_many_numbers_is_checked_when_it_is_known():
    est = DNNRegressor(loss=binned(n_bins=0))
    with pytest.raises(TypeError, match=r"loss binned: outputs must be .* got 0"):
        est.fit(X, np.digitize(X[:, 0], [0.0]))


@pytest.mark.parametrize("one", ["gaussian", "gaussian_mixture", laplace()], ids=str)
def test_a_first_call_of_one_row(one):
    """The scale is settled by the rows that follow."""
    est = DNNRegressor((8,), loss=one, learning_rate=0.02, random_state=0)
    est.partial_fit(X[:1], 1e3 * Y[:1])
    for _ in range(40):
        est.partial_fit(X, 1e3 * Y)
    mean, std = est.predict(X, return_std=True)
    assert est.score(X, 1e3 * Y) > 0.8
    assert 0.9 < (np.abs(1e3 * Y - mean) < 2.5 * std).mean() <= 1


def test_a_first_call_of_few_rows_with_y_as_it_is():
    est = DNNRegressor((8,), loss=binned(), learning_rate=0.02, random_state=0)
    classes = np.digitize(X[:, 0], [-0.5, 0.5])
    est.partial_fit(X[:1], classes[:1]).partial_fit(X[:9], classes[:9])
    for _ in range(20):
        est.partial_fit(X, classes)
    assert (est.predict(X) == classes).mean() > 0.9
