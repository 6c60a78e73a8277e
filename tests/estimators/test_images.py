"""Networks on images: what X may be, and that it means the same in every form."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from slimlearn import (
    ConvNetClassifier,
    ConvNetRegressor,
    LayerTransformer,
    layers,
    network,
)

X, y = load_digits(return_X_y=True)
BYTES = (X * 15.9).astype(np.uint8)
SMALL = {"filters": (4,), "max_iter": 2, "random_state": 0, "n_threads": 1}


@network
def narrow(x, num_classes, filters=4):
    net = layers.conv2d(x, filters, 3, stride=2)
    return layers.linear(layers.global_pool(net), num_classes)


def test_digits():
    train, test, y_train, y_test = train_test_split(
        X / 16, y, random_state=0, stratify=y
    )
    clf = ConvNetClassifier(max_iter=30, random_state=0).fit(train, y_train)
    assert clf.score(test, y_test) >= 0.98


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int32])
def test_rows_and_images_are_the_same(dtype):
    rows = BYTES[:200].astype(dtype)
    images = rows.reshape(-1, 8, 8)
    by_rows = ConvNetClassifier(**SMALL).fit(rows, y[:200])
    want = by_rows.predict_proba(rows)
    for given in (images, images[..., None]):
        clf = ConvNetClassifier(**SMALL).fit(given, y[:200])
        assert clf.predict_proba(given).tobytes() == want.tobytes()
        assert clf.n_features_in_ == 64
    for given in (images, images[..., None], rows, list(images), pd.DataFrame(rows)):
        assert by_rows.predict_proba(given).tobytes() == want.tobytes()
    for one in (images[:1], rows[:1], images[:1, ..., None]):
        np.testing.assert_array_equal(by_rows.predict_proba(one), want[:1])


def test_bytes_are_fractions_of_255():
    by_bytes = ConvNetClassifier(**SMALL, precision="float32").fit(BYTES, y)
    scaled = (BYTES * np.float32(1 / 255)).astype(np.float32)
    by_floats = ConvNetClassifier(**SMALL).fit(scaled, y)
    np.testing.assert_array_equal(
        by_bytes.predict_proba(BYTES), by_floats.predict_proba(scaled)
    )


def test_bytes_are_never_copied_as_floats():
    clf = ConvNetClassifier(**SMALL).fit(BYTES, y)
    checked = clf._input.check(clf, BYTES)
    assert checked.dtype == np.uint8
    assert np.shares_memory(checked, BYTES)
    with pytest.raises(ValueError, match="uint8 images, 0 to 255"):
        clf.predict(X / 16)
    with pytest.raises(ValueError, match="uint8 images, 0 to 255"):
        clf.predict(BYTES.astype(int) - 1)
    whole = BYTES.astype(np.int64)
    np.testing.assert_array_equal(clf.predict(whole), clf.predict(BYTES))


def test_channels_and_image_shape():
    rng = np.random.default_rng(0)
    images = rng.random((40, 4, 6, 3)).astype(np.float32)
    z = images.mean((1, 2, 3))
    reg = ConvNetRegressor(**SMALL).fit(images, z)
    assert reg._input.shape == (4, 6, 3)
    flat = images.reshape(40, -1)
    shaped = ConvNetRegressor(**SMALL, image_shape=(4, 6, 3)).fit(flat, z)
    assert shaped.predict(flat).tobytes() == reg.predict(images).tobytes()
    line = ConvNetRegressor(**SMALL).fit(flat, z)
    assert line._input.shape == (1, 72, 1)


def test_an_own_network_and_a_search_over_it():
    clf = ConvNetClassifier(narrow(filters=8), max_iter=2, random_state=0)
    assert "N×4×4×8" in str(clf.fit(BYTES, y).summary())
    search = GridSearchCV(clf, {"net__filters": [2, 4]}, cv=2).fit(BYTES, y)
    assert search.best_params_["net__filters"] in (2, 4)
    with pytest.raises(ValueError, match="net=None holds no parameters"):
        ConvNetClassifier().set_params(net__filters=3)


def test_what_a_network_of_ones_own_does_not_read_is_told():
    clf = ConvNetClassifier(narrow(filters=2), filters=(8,), dropout=0.5, max_iter=1)
    with pytest.warns(UserWarning, match="does not read filters, dropout where net"):
        clf.fit(BYTES, y)


def test_a_pipeline_of_flat_rows_a_pickle_and_features():
    model = make_pipeline(MinMaxScaler(), ConvNetClassifier(**SMALL)).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    features = LayerTransformer(ConvNetClassifier(**SMALL), layer="flatten")
    assert features.fit(BYTES, y).transform(BYTES).shape == (len(X), 64)
    assert clone(model[-1]).filters == (4,)
    assert model[-1].activations(X[:5], "conv1").shape == (5, 8, 8, 4)


def test_more_of_the_fit():
    clf = ConvNetClassifier(
        filters=(4,),
        hidden_units=(8,),
        dropout=0.2,
        batch_norm=True,
        early_stopping=True,
        max_iter=3,
        random_state=0,
    ).fit(BYTES, y)
    assert len(clf.validation_loss_curve_) == 3
    clf.set_params(early_stopping=False).partial_fit(BYTES.reshape(-1, 8, 8), y)
    clf = ConvNetClassifier(**SMALL)
    clf.fit(BYTES[:900], y[:900], X_val=BYTES[900:].reshape(-1, 8, 8), y_val=y[900:])
    assert len(clf.validation_loss_curve_) == 2


def _of(clf, layer):
    """The estimator with a network of one layer of images."""

    def net(x, num_classes):
        return layers.linear(layers.flatten(layer(x)), num_classes)

    return clf.set_params(net=net)


def valid(x):
    return layers.conv2d(x, 4, 5, rate=2, padding="VALID")


def pooled(x):
    return layers.max_pool2d(x, [9, 3])


def twice(x):
    return layers.conv2d(layers.conv2d(x, 4, 3, scope="c"), 4, 3, scope="c")


def shared(x):
    net = layers.conv2d(x, 4, 3, scope="c")
    return layers.conv2d(net, 4, 3, scope="c", reuse=True)


def flat(x):
    return layers.conv2d(layers.flatten(x), 4, 3)


def grouped(x):
    return layers.conv2d(x, 3, 3, groups=3)


def test_images_in_columns_and_arrays_of_objects():
    images = BYTES[:60].reshape(-1, 8, 8)
    want = ConvNetClassifier(**SMALL).fit(images, y[:60])
    objects = np.empty(60, dtype=object)
    objects[:] = list(images)
    for given in (
        objects,
        pd.Series(list(images)),
        pd.DataFrame({"image": list(images)}),
        list(images[..., None]),
    ):
        clf = ConvNetClassifier(**SMALL).fit(given, y[:60])
        assert clf.coefs_[0].tobytes() == want.coefs_[0].tobytes()
        np.testing.assert_array_equal(clf.predict(given), want.predict(images))


@pytest.mark.parametrize("rows", [1, 100])
def test_bytes_where_fractions_were_fitted(rows):
    clf = ConvNetClassifier(**SMALL).fit(X / 16, y)
    for given in (BYTES[:rows], BYTES[:rows].reshape(-1, 8, 8).astype(int)):
        with pytest.raises(ValueError, match=r"int\d+ up to .*float64 .*X / 255"):
            clf.predict(given)
    assert clf.predict((X[:rows] > 8).astype(int)).shape == (rows,)
    whole = ConvNetClassifier(**SMALL).fit(X, y)
    found = whole.predict(X[:rows].astype(np.uint8))
    np.testing.assert_array_equal(found, whole.predict(X[:rows]))


def test_channels_that_stand_first_are_noticed():
    images = np.zeros((6, 3, 5, 5), np.float32)
    with pytest.warns(UserWarning, match=r"3×5×5: if .*X.transpose\(0, 2, 3, 1\)"):
        ConvNetClassifier(**SMALL).fit(images, [0, 1] * 3)


def test_a_fit_that_goes_on_has_images_of_one_size_and_range():
    clf = ConvNetClassifier(**SMALL).partial_fit(BYTES[:60], y[:60], classes=range(10))
    with pytest.raises(ValueError, match=r"images of 7×7×1, but those .* were 8×8×1"):
        clf.partial_fit(np.zeros((5, 7, 7), np.uint8), y[:5])
    twin = pickle.loads(pickle.dumps(clf)).partial_fit(BYTES[60:], y[60:])
    clf.partial_fit(BYTES[60:].astype(np.int64), y[60:])
    assert clf.coefs_[0].tobytes() == twin.coefs_[0].tobytes()
    with pytest.raises(ValueError, match="but the network was fitted on uint8 images"):
        clf.partial_fit(BYTES[60:] / 255, y[60:])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda c: c.predict(np.zeros((3, 9, 9), np.uint8)), "9×9×1.*on 8×8×1: resize"),
        (
            lambda c: c.predict(np.zeros((3, 8, 8, 3), np.uint8)),
            "8×8×3.*8×8×1: give images of 1 channel$",
        ),
        (lambda c: c.predict(np.zeros((3, 63), np.uint8)), "63 features"),
        (lambda c: c.fit(np.zeros((3, 2, 2, 2, 2)), [0, 1, 0]), "N×H×W"),
        (
            lambda c: c.fit([np.zeros((3, 3)), np.zeros((4, 3))], [0, 1]),
            "image 1 is 4×3",
        ),
        (lambda c: c.fit(np.full((2, 3, 3), np.nan), [0, 1]), "NaN"),
        (lambda c: c.fit(np.zeros((2, 3, 0, 1)), [0, 1]), "without pixels"),
        (lambda c: c.fit(BYTES[:2], [np.nan, 1.0]), "y contains NaN .1 of 2, first in"),
        (lambda c: c.set_params(image_shape=(9, 9)).fit(X, y), "81 numbers, .* 64"),
        (lambda c: c.set_params(image_shape=(8,)).fit(X, y), "must be .height, width"),
        (
            lambda c: c.set_params(image_shape=(8, -8)).fit(X, y),
            "must be .height, width",
        ),
        (
            lambda c: c.set_params(image_shape=(4, 16)).fit(BYTES.reshape(-1, 8, 8), y),
            r"image_shape=.4, 16., but X has images of 8×8×1",
        ),
        (lambda c: c.fit([np.zeros((3, 3)), "a"], [0, 1]), "number 1 is 'a': give H"),
        (
            lambda c: c.fit([np.zeros((3, 3)), np.zeros((3, 3, 3))], [0, 1]),
            "3×3×3: give all the same channels",
        ),
        (
            lambda c: c.fit([np.zeros((3, 3))] * 2 + [np.zeros(3)], [0, 1, 0]),
            "number 2",
        ),
        (lambda c: c.predict(BYTES[0].reshape(8, 8)), r"one image .* X\[None\]"),
        (lambda c: c.predict(BYTES[0].reshape(8, 8, 1)), r"8×1×1, .* X\[None\]"),
        (
            lambda c: c.predict(BYTES.astype(np.int16) - 1),
            "int16 from -1 to 253, but .*",
        ),
        (lambda c: c.predict(BYTES.astype(np.int8)), r"int8 from -\d+ to \d+, but"),
        (lambda c: c.predict(BYTES.astype(int) + 1000), "int64 from 1000 to"),
        (lambda c: _of(c, valid).fit(BYTES, y), "reaches over 9 does not fit .* of 8"),
        (lambda c: _of(c, pooled).fit(BYTES, y), "reaches over 9 does not fit .* of 8"),
        (lambda c: _of(c, twice).fit(BYTES, y), "scope 'c' holds a variable 'weights'"),
        (
            lambda c: _of(c, shared).fit(BYTES, y),
            r"'c/weights' is f32\[3,3,1,4\] .*needs f32\[3,3,4,4\]",
        ),
        (lambda c: _of(c, flat).fit(BYTES, y), "with 2 spatial axes, .*give images as"),
        (
            lambda c: _of(c, grouped).fit(BYTES, y),
            "groups=3 must divide the 1 channels",
        ),
        (lambda c: c.set_params(filters=(0,)).fit(X, y), "'filters' parameter"),
        (lambda c: c.set_params(kernel_size=(3, 3, 3)).fit(X, y), "each of 2 spatial"),
    ],
)
def test_refusals(make, text):
    clf = ConvNetClassifier(**SMALL).fit(BYTES[:100], y[:100])
    with pytest.raises(ValueError, match=text):
        make(clf)


def test_a_pooling_layer_is_its_maxima_not_their_places():
    clf = ConvNetClassifier(**SMALL).fit(X / 16, y)
    (pool,) = (row for row in clf.summary().splitlines() if row.startswith("pool1"))
    assert pool.split()[1] == "N×4×4×4"
    maps = clf.activations(X / 16, ["conv1", "pool1"])
    halves = maps["conv1"].reshape(-1, 4, 2, 4, 2, 4)
    np.testing.assert_array_equal(maps["pool1"], halves.max((2, 4)))


def test_bools_are_no_bytes():
    clf = ConvNetClassifier(**SMALL).fit(BYTES[:100], y[:100])
    with pytest.raises(ValueError, match=r"X is bool, .* fitted on uint8 images"):
        clf.predict(BYTES[:10] > 100)
