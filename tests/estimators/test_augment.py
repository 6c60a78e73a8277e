"""`augment=`: images are varied in training, as layers by the same names do it."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from slimlearn import ConvNetClassifier, ConvNetRegressor, layers

RNG = np.random.default_rng(0)
X = RNG.random((48, 16, 8, 1)).astype(np.float32)
Y = np.arange(48) % 3
OWN = {"max_iter": 2, "batch_size": 16, "random_state": 0}  # with a given network
OPTIONS = {"filters": (4,), **OWN}

BY_HAND = {
    "random_flip": lambda x: layers.random_flip(x),
    "random_crop": lambda x: layers.random_crop(x, (16, 8), (2, 1)),
    "random_shift": lambda x: layers.random_shift(x, (2, 1)),
    "random_brightness": lambda x: layers.random_brightness(x, 0.2),
    "random_contrast": lambda x: layers.random_contrast(x, 0.8, 1.25),
    "cutout": lambda x: layers.cutout(x, (4, 2)),
    "mixup": lambda x: layers.mixup(x, 0.2),
}


def network(vary):
    def net(x):
        x = layers.conv2d(vary(x), 4, 3, scope="conv1")
        return layers.flatten(layers.max_pool2d(x, 2, 2, scope="pool1"))

    return net


def weights(clf):
    return clf.fit(X, Y).program_.params.tobytes()


@pytest.mark.parametrize("name", BY_HAND)
def test_each_is_the_layer_of_its_name(name):
    found = weights(ConvNetClassifier(augment=name, **OPTIONS))
    own = ConvNetClassifier(network(BY_HAND[name]), **OWN)
    assert found == weights(own)
    assert found != weights(ConvNetClassifier(**OPTIONS))


@pytest.mark.parametrize(
    "given, by_hand",
    [
        (
            ["random_flip", "mixup"],
            lambda x: layers.mixup(layers.random_flip(x)),
        ),
        (
            ("mixup", "random_flip"),
            lambda x: layers.random_flip(layers.mixup(x)),
        ),
        (
            {"random_shift": 3, "random_contrast": (0.5, 1.5), "random_flip": None},
            lambda x: layers.random_flip(
                layers.random_contrast(layers.random_shift(x, 3), 0.5, 1.5)
            ),
        ),
        (
            {"cutout": [3, 5], "random_flip": "vertical", "mixup": 0},
            lambda x: layers.random_flip(layers.cutout(x, (3, 5)), "vertical"),
        ),
    ],
    ids=["list", "order", "amounts", "pairs"],
)
def test_several_in_their_order(given, by_hand):
    own = ConvNetClassifier(network(by_hand), **OWN)
    assert weights(ConvNetClassifier(augment=given, **OPTIONS)) == weights(own)
    # In front of a network of one's own too.
    plain = ConvNetClassifier(network(lambda x: x), augment=given, **OWN)
    assert weights(plain) == weights(own)


@pytest.mark.parametrize("augment", [None, (), {}, {"random_shift": 0}])
def test_nothing_is_no_layer(augment):
    clf = ConvNetClassifier(augment=augment, **OPTIONS)
    assert weights(clf) == weights(ConvNetClassifier(**OPTIONS))
    assert "Random" not in clf.program_.text


def test_predictions_take_images_as_they_are():
    clf = ConvNetClassifier(augment=list(BY_HAND), **OPTIONS).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(X))
    twin = ConvNetClassifier(**OPTIONS).fit(X, Y).set_weights(clf)
    np.testing.assert_array_equal(clf.predict_proba(X), twin.predict_proba(X))


def test_it_is_cloned_and_searched():
    grid = {"augment": [None, "random_flip", ["random_shift", "mixup"]]}
    clf = ConvNetClassifier(**OPTIONS)
    search = GridSearchCV(clf, grid, cv=2).fit(X, Y)
    assert search.best_params_["augment"] in grid["augment"]
    assert clone(ConvNetClassifier(augment={"mixup": 0.3})).augment == {"mixup": 0.3}
    reg = ConvNetRegressor(augment=["random_flip", "mixup"], **OPTIONS)
    assert reg.fit(X, Y * 1.0).predict(X).shape == (48,)


@pytest.mark.parametrize("fits", [ConvNetClassifier, ConvNetRegressor])
def test_mistakes_are_told(fits):
    with pytest.raises(ValueError, match="did you mean 'random_flip'"):
        fits(augment="flip", **OPTIONS).fit(X, Y)
    with pytest.raises(ValueError, match="there is no 'sharpen' among random_flip, "):
        fits(augment=["mixup", "sharpen"], **OPTIONS).fit(X, Y)
    with pytest.raises(TypeError, match=r"names of layers .* network of your own"):
        fits(augment=[layers.random_flip], **OPTIONS).fit(X, Y)
    with pytest.raises(ValueError, match="'augment' parameter"):
        fits(augment=3, **OPTIONS).fit(X, Y)
    with pytest.raises(ValueError, match="random_flip: mode must be one of"):
        fits(augment={"random_flip": "diagonal"}, **OPTIONS).fit(X, Y)

    def odd(x):
        return x[:, 0]

    with pytest.raises(ValueError, match="network odd must return"):
        fits(odd, augment="random_flip", **OPTIONS).fit(X, Y)
