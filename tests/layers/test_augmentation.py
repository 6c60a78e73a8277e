"""Augmentation: what layers make of images in training, row by row; mixup's loss."""

from functools import partial

import numpy as np
import pytest
from scipy.special import betaincinv
from sklearn.base import clone
from support.native_run import ISAS
from support.native_run import run as run_native
from support.reference_runtime import ReferenceModel

from slimlearn import (
    ConvNetClassifier,
    NetworkClassifier,
    NetworkRegressor,
    layers,
    network,
)
from slimlearn import layers as slim
from slimlearn.backend import ops, reference, training
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B

LAYERS = {
    "flip": slim.random_flip,
    "both": lambda x: slim.random_flip(x, "horizontal_and_vertical"),
    "crop": lambda x: slim.random_crop(x, (3, 2), (1, 0)),
    "shift": lambda x: slim.random_shift(x, (1, 2)),
    "brightness": lambda x: slim.random_brightness(x, 0.3),
    "contrast": lambda x: slim.random_contrast(x, 0.5, 1.5),
    "cutout": lambda x: slim.cutout(x, (2, 3), fill=-7.0),
}


def model_of(layer, shape, training=True, precision="f64"):
    model = Model(precision)
    with model.function("f", training=training) as graph:
        graph.return_(layer(ops.input_("x", (B, *shape), precision)))
    return model


def varied(layer, x, training=True, **counters):
    model = model_of(layer, x.shape[1:], training)
    return reference.run(model, "f", {"x": x}, {}, **counters).returns[0]


def pictures(rows=40, height=4, width=5, channels=2):
    return np.random.default_rng(0).normal(size=(rows, height, width, channels))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_native_code_does_what_the_reference_does(name, channels, isa):
    x = pictures(channels=channels).astype(np.float32)
    model = model_of(LAYERS[name], x.shape[1:], precision="f32")
    for n_threads in (1, 2):
        (found,) = run_native(model, {"x": x}, isa, seed=5, n_threads=n_threads)
        (want,) = reference.run(model, "f", {"x": x}, {}, seed=5).returns
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_varies_by_its_place_in_the_batch_of_all(name):
    x = pictures()
    whole = varied(LAYERS[name], x, seed=3, step=2)
    some = varied(LAYERS[name], x[7:20], seed=3, step=2, first_row=7)
    np.testing.assert_array_equal(some, whole[7:20])
    assert (varied(LAYERS[name], x, seed=3, step=3) != whole).any()
    assert (varied(LAYERS[name], x, seed=4, step=2) != whole).any()


@pytest.mark.parametrize("name", [*LAYERS, "mixup"])
def test_nothing_happens_in_inference(name):
    x = pictures()
    layer = LAYERS.get(name, slim.mixup)
    found = varied(layer, x, training=False)
    want = x[:, 0:3, 1:3] if name == "crop" else x
    np.testing.assert_array_equal(found, want)


def test_a_scope_and_a_seed_have_draws_of_their_own():
    x = pictures()
    one, two, three = (
        varied(partial(slim.random_flip, **given), x)
        for given in ({}, {"seed": 1}, {"scope": "other"})
    )
    assert (one != two).any()
    assert (one != three).any()
    assert (two != three).any()


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
@pytest.mark.parametrize(("height", "width"), [(4, 5), (1, 3), (6, 1)])
def test_flips(mode, height, width):
    x = pictures(200, height, width)
    turns = {
        "horizontal": [x, x[:, :, ::-1]],
        "vertical": [x, x[:, ::-1]],
        "horizontal_and_vertical": [
            x,
            x[:, ::-1],
            x[:, :, ::-1],
            x[:, ::-1, ::-1],
        ],
    }[mode]
    found = varied(lambda x: slim.random_flip(x, mode), x)
    same = np.array([(found == turn).all((1, 2, 3)) for turn in turns])
    assert same.any(0).all()
    assert (same.mean(1) > 0.7 / len(turns)).all()


@pytest.mark.parametrize(("size", "padding"), [((3, 2), 0), ((4, 5), 2), (3, (0, 1))])
def test_crops_come_from_everywhere_in_the_padded_image(size, padding):
    x = pictures(400)
    found = varied(lambda x: slim.random_crop(x, size, padding), x)
    h, w = (size, size) if isinstance(size, int) else size
    ph, pw = (padding, padding) if isinstance(padding, int) else padding
    wide = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    places = []
    for image, part in zip(wide, found, strict=True):
        options = [
            (i, j)
            for i in range(wide.shape[1] - h + 1)
            for j in range(wide.shape[2] - w + 1)
            if (image[i : i + h, j : j + w] == part).all()
        ]
        assert len(options) >= 1
        places.append(options[0])
    count = (wide.shape[1] - h + 1) * (wide.shape[2] - w + 1)
    assert len(set(places)) == count


def test_a_shift_is_a_crop_of_the_same_size():
    x = pictures(300)
    found = varied(lambda x: slim.random_shift(x, (1, 0)), x)
    wide = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    same = [(found == wide[:, i : i + 4]).all((1, 2, 3)) for i in range(3)]
    assert np.any(same, axis=0).all()
    assert all(80 < s.sum() < 120 for s in same)


def test_brightness_and_contrast():
    x = pictures(500)
    delta = varied(lambda x: slim.random_brightness(x, 0.3), x) - x
    assert np.ptp(delta, axis=(1, 2, 3)).max() < 1e-12
    delta = delta[:, 0, 0, 0]
    assert -0.3 <= delta.min() < -0.29
    assert 0.29 < delta.max() <= 0.3
    mean = x.mean((1, 2), keepdims=True)
    stretched = varied(lambda x: slim.random_contrast(x, 0.5, 2.0), x) - mean
    factor = stretched / (x - mean)
    assert np.ptp(factor, axis=(1, 2, 3)).max() < 1e-9
    factor = factor[:, 0, 0, 0]
    assert 0.5 <= factor.min() < 0.52
    assert 1.98 < factor.max() <= 2


def test_cutout_hides_one_rectangle_whose_middle_is_anywhere():
    x = pictures(600)
    found = varied(lambda x: slim.cutout(x, (2, 3), fill=9.0), x)
    hidden = (found == 9.0).all(3)
    np.testing.assert_array_equal(found[~hidden], x[~hidden])
    kinds = set()
    for mask in hidden:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns) > 0
        assert np.ptp(rows) <= 1
        assert np.ptp(columns) <= 2
        kinds.add((rows[0], len(rows), columns[0], len(columns)))
    assert len(kinds) == 4 * 5


@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("rows", [1, 2, 7, 300])
def test_mixup_mixes_rows_with_those_from_the_end(alpha, rows):
    x = pictures(rows)
    found = varied(lambda x: slim.mixup(x, alpha), x, seed=1)
    if rows == 1:
        np.testing.assert_allclose(found, x)
        return
    far = x - x[::-1]
    share = (found - x[::-1])[:, 0, 0, 0] / np.where(far == 0, 1, far)[:, 0, 0, 0]
    share = share[far[:, 0, 0, 0] != 0]
    grid = betaincinv(alpha, alpha, (np.arange(256) + 0.5) / 256)
    assert np.abs(share[:, None] - grid).min(1).max() < 1e-9
    if rows == 300:
        assert abs(share.mean() - 0.5) < 0.1
        deviation = np.sqrt(1 / (4 * (2 * alpha + 1)))
        assert abs(share.std() / deviation - 1) < 0.15


@network
def mixing(x, num_outputs, alpha=1.0):
    return layers.linear(layers.mixup(x, alpha, scope="mix"), num_outputs, scope="out")


def step_of(estimator, X, y, **extra):
    """What `grad` gives at the fitted weights, with the shares that were drawn."""
    drawn, model = [], estimator.program_.model
    result = reference.run(
        model,
        "grad",
        {"X": X, "y": y, **extra},
        estimator.program_.weights,
        estimator.program_.states,
        {h.name: h.value or 1.0 for h in model.hypers} | {"global_rows": len(X)},
        on_value=lambda node, value: (
            drawn.append(value) if node.op == "random_uniform" else None
        ),
    )
    table = betaincinv(1.0, 1.0, (np.arange(256) + 0.5) / 256)
    return result, table[np.floor(drawn[0][:, 0] * 256).astype(int)]


@pytest.mark.parametrize("rows", [1, 2, 31])
@pytest.mark.parametrize("weighted", [False, True])
def test_squared_errors_of_mixed_rows_are_those_of_mixed_targets(rows, weighted):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(rows, 4)), rng.normal(size=rows)
    weights = rng.random(rows) + 0.5 if weighted else np.ones(rows)
    reg = NetworkRegressor(mixing(), max_iter=1, random_state=0, precision="float64")
    some = np.arange(1.0, 10.0) if weighted else None
    reg.fit(rng.normal(size=(9, 4)), rng.normal(size=9), some)
    extra = {"sample_weight": weights} if weighted else {}
    result, share = step_of(reg, X, y, **extra)
    mixed = share[:, None] * X + (1 - share)[:, None] * X[::-1]
    found = mixed @ reg.coefs_[0][:, 0] + reg.intercepts_[0][0]
    own, other = weights * share, (weights[::-1]) * (1 - share)
    loss = own * (found - y) ** 2 + other * (found - y[::-1]) ** 2
    np.testing.assert_allclose(result.returns[1], loss.sum())
    slope = 2 * (own * (found - y) + other * (found - y[::-1]))
    np.testing.assert_allclose(
        result.grads["out/weights"][:, 0], slope @ mixed / rows, atol=1e-12
    )
    if not weighted:
        target = share * y + (1 - share) * y[::-1]
        np.testing.assert_allclose(slope, 2 * (found - target), atol=1e-12)


CASES = {
    "classes": (NetworkClassifier(mixing()), np.arange(40) % 3),
    "two": (NetworkClassifier(mixing()), np.arange(40) % 2),
    "labels": (NetworkClassifier(mixing()), (np.arange(80).reshape(40, 2) % 3) % 2),
    "numbers": (NetworkRegressor(mixing()), np.arange(80.0).reshape(40, 2) % 7),
    "mean and scale": (NetworkRegressor(mixing(), loss="gaussian"), np.arange(40.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_head_trains_on_mixed_rows_as_in_numpy(name, monkeypatch):
    made, y = CASES[name]
    X = np.random.default_rng(0).normal(size=(40, 4))
    settings = {"max_iter": 3, "batch_size": 16, "random_state": 0}
    settings["precision"] = "float64"
    fits = [clone(made).set_params(**settings, n_threads=n).fit(X, y) for n in (1, 2)]
    for one, two in zip(*(fit.coefs_ for fit in fits), strict=True):
        assert one.tobytes() == two.tobytes()
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    want = clone(made).set_params(**settings).fit(X, y)
    np.testing.assert_allclose(fits[0].loss_curve_, want.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(fits[0].coefs_[0], want.coefs_[0], rtol=1e-6)


@network
def behind_weights(x, num_classes):
    net = layers.conv2d(x, 3, 3, scope="first")
    for layer in LAYERS.values():
        net = layer(net)
    net = layers.mixup(net, 0.5)
    return layers.linear(layers.flatten(net), num_classes, scope="last")


def test_gradients_pass_through(monkeypatch):
    X, y = pictures(24, 6, 6, 1), np.arange(24) % 3
    settings = {"max_iter": 2, "batch_size": 10, "random_state": 0}
    settings["precision"] = "float64"
    clf = ConvNetClassifier(behind_weights(), **settings).fit(X, y)
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    want = ConvNetClassifier(behind_weights(), **settings).fit(X, y)
    np.testing.assert_allclose(clf.coefs_[0], want.coefs_[0], rtol=1e-5, atol=1e-9)
    assert clf.predict(X[:5]).shape == (5,)


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (lambda x: slim.random_flip(x, "left"), (4, 4, 1), "mode must be one of"),
        (slim.random_flip, (4, 4), "2 spatial axes.*N×H×W×C"),
        (lambda x: slim.random_crop(x, 5), (4, 6, 1), r"\(5, 5\) is larger .*4,6,1"),
        (lambda x: slim.random_crop(x, 3, -1), (4, 6, 1), "padding must be a whole"),
        (lambda x: slim.random_shift(x, 1.5), (4, 6, 1), "pixels must be a whole"),
        (lambda x: slim.random_shift(x, (1, 2, 3)), (4, 6, 1), "pixels must be"),
        (lambda x: slim.random_brightness(x, -1), (4, 6, 1), "max_delta must be"),
        (lambda x: slim.random_contrast(x, 2, 1), (4, 6, 1), "lower <= upper"),
        (lambda x: slim.cutout(x, 0), (4, 6, 1), "size must be"),
        (lambda x: slim.mixup(x, 0), (4,), "alpha must be above 0"),
        (lambda x: slim.mixup(slim.mixup(x)), (4,), "mixes its rows already"),
        (lambda x: slim.mixup(ops.reduce_sum(x, [0])), (4,), r"must be \[B, ...\]"),
    ],
)
def test_refusals(layer, shape, text):
    with pytest.raises(ValueError, match=text):
        model_of(layer, shape)
