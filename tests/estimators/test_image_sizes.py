"""Networks whose parameters do not depend on the size of images take any size."""

import pickle

import numpy as np
import pytest

from slimlearn import ConvNetClassifier, ConvNetRegressor, LayerTransformer, layers
from slimlearn import network as as_network

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3


def images(height, width, channels=1, count=60):
    made = RNG.random((count, height, width, channels)).astype(np.float32) / 4
    made[:, ::2, :, 0] += (np.arange(count) % 3)[:, None, None] / 3
    return made


@as_network
def anywhere(x, num_classes, width=8):
    net = layers.conv2d(x, width, 3, normalizer_fn=layers.batch_norm, scope="conv1")
    net = layers.conv2d(net, 2 * width, 3, stride=2, scope="conv2")
    maps = layers.conv2d(net, num_classes, 1, activation_fn=None, scope="maps")
    return layers.global_pool(maps), {"maps": maps, "last": net}


def conv_classifier(**options):
    return ConvNetClassifier(
        anywhere(), **{"max_iter": 4, "random_state": 0, **options}
    )


def by_hand(clf, X):
    """Logits of the fitted `anywhere`, with NumPy."""
    weights = clf.get_weights()

    def conv(x, name, stride=1):
        w = weights[name]["weights"]
        (h, wd), k = x.shape[1:3], w.shape[0]
        oh, ow = -(-h // stride), -(-wd // stride)
        ph, pw = max((oh - 1) * stride + k - h, 0), max((ow - 1) * stride + k - wd, 0)
        x = np.pad(
            x, [(0, 0), (ph // 2, ph - ph // 2), (pw // 2, pw - pw // 2), (0, 0)]
        )
        y = np.zeros((len(x), oh, ow, w.shape[3]))
        for i in range(k):
            for j in range(k):
                part = x[:, i : i + oh * stride : stride, j : j + ow * stride : stride]
                y += part[:, :oh, :ow] @ w[i, j].astype(np.float64)
        return y + weights[name].get("biases", 0)

    bn = weights["conv1/BatchNorm"]
    y = conv(X.astype(np.float64), "conv1")
    mean, variance = bn["moving_mean"], bn["moving_variance"]
    y = np.maximum((y - mean) / np.sqrt(variance + 1e-3) + bn["beta"], 0)
    y = np.maximum(conv(y, "conv2", 2), 0)
    return conv(y, "maps").mean((1, 2))


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (20, 3), (1, 1), (40, 40)], ids=str)
@pytest.mark.parametrize("rows", [1, 5, 60])
def test_any_size_is_predicted(size, rows):
    clf = conv_classifier().fit(images(8, 8), Y)
    X = images(*size)[:rows]
    expected = by_hand(clf, X)
    np.testing.assert_allclose(clf.decision_function(X), expected, atol=1e-4)
    assert clf.predict_proba(X).shape == (rows, 3)
    np.testing.assert_array_equal(clf.predict(X), expected.argmax(1))


@pytest.mark.parametrize("kind", [np.uint8, np.float64, np.float32])
def test_types_and_axes(kind):
    def of(X):
        return np.rint(X * 100).astype(kind) if kind == np.uint8 else X.astype(kind)

    clf = conv_classifier().fit(of(images(8, 8)), Y)
    other = of(images(12, 10))
    wanted = clf.predict_proba(other)
    np.testing.assert_array_equal(clf.predict_proba(other[..., 0]), wanted)
    np.testing.assert_array_equal(clf.predict_proba(list(other)), wanted)
    np.testing.assert_array_equal(clf.predict_proba(other[::-1])[::-1], wanted)


def test_the_program_of_a_size_is_made_once_and_goes_with_the_weights():
    clf = conv_classifier().fit(images(8, 8), Y)
    X = images(6, 6)
    first = clf.predict_proba(X)
    (handle,) = {clf._of_size((6, 6, 1)) for _ in range(3)}
    native = handle.native
    np.testing.assert_array_equal(clf.predict_proba(X), first)
    assert clf._of_size((6, 6, 1)).native is native
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), first)
    weights = {"maps": {"biases": np.array([0.0, 9, 0])}}
    clf.set_weights(weights)
    assert (clf.predict(X) == 1).all()


def test_lists_of_several_sizes():
    clf = conv_classifier().fit(images(8, 8), Y)
    sizes = [(8, 8), (6, 9), (8, 8), (11, 5), (6, 9)]
    X = [images(*size)[i] for i, size in enumerate(sizes)]
    alone = np.concatenate([clf.predict_proba(x[None]) for x in X])
    np.testing.assert_array_equal(clf.predict_proba(X), alone)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[alone.argmax(1)])
    box = np.empty(len(X), object)
    box[:] = [x[..., 0] for x in X]
    np.testing.assert_array_equal(clf.predict_proba(box), alone)
    assert clf.score(X, alone.argmax(1)) == 1


def test_files_of_several_sizes(tmp_path):
    image = pytest.importorskip("PIL.Image")
    X = [np.rint(images(8, w)[w] * 200).astype(np.uint8) for w in (8, 5, 8, 12)]
    paths = [str(tmp_path / f"{i}.png") for i in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        image.fromarray(pixels[..., 0]).save(path)
    clf = conv_classifier().fit(np.rint(images(8, 8) * 200).astype(np.uint8), Y)
    np.testing.assert_array_equal(clf.predict_proba(paths), clf.predict_proba(X))
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="image 1 cannot be read"):
        clf.predict(paths)


def test_activations_and_features():
    clf = conv_classifier().fit(images(8, 8), Y)
    X = images(12, 6)
    assert clf.activations(X, "maps").shape == (60, 12 // 2, 6 // 2, 3)
    both = clf.activations(X, ["maps", "conv1"])
    assert both["conv1"].shape == (60, 12, 6, 8)
    pooled = both["maps"].mean((1, 2))
    np.testing.assert_allclose(clf.decision_function(X), pooled, atol=1e-5)
    mixed = [X[0], images(8, 8)[0]]
    with pytest.raises(ValueError, match="different sizes, whose values differ"):
        clf.activations(mixed, "maps")

    def pooling(x, width=8):
        return layers.global_pool(layers.conv2d(x, width, 3))

    net = ConvNetClassifier(pooling, max_iter=1, random_state=0)
    features = LayerTransformer(net).fit(images(8, 8), Y)
    assert features.transform(X).shape == (60, 8)
    assert features.transform(mixed).shape == (2, 8)
    maps = LayerTransformer(conv_classifier(), "maps").fit(images(8, 8), Y)
    with pytest.raises(ValueError, match=r"54 numbers .* 48 of the fit"):
        maps.transform(X)


def test_regressors_and_several_outputs():
    y = np.stack([Y, 2.0 * Y], 1)

    def net(x, num_outputs):
        x = layers.global_pool(layers.conv2d(x, 8, 3))
        return layers.fully_connected(x, num_outputs, activation_fn=None)

    reg = ConvNetRegressor(net, max_iter=2, random_state=0).fit(images(8, 8), y)
    assert reg.predict(images(5, 9)).shape == (60, 2)
    mixed = [images(5, 9)[0], images(8, 8)[1]]
    alone = np.concatenate([reg.predict(x[None]) for x in mixed])
    np.testing.assert_array_equal(reg.predict(mixed), alone)


# -- what is refused -------------------------------------------------------------------


def test_a_network_whose_weights_depend_on_the_size_is_told_which():
    clf = ConvNetClassifier(filters=(4,), max_iter=1, random_state=0)
    clf.fit(images(8, 8), Y)
    with pytest.raises(
        ValueError, match=r"X has images of 12×8×1, but .* 8×8×1"
    ) as got:
        clf.predict(images(12, 8))
    assert "logits/weights would be f32[256,3] and is f32[64,3]" in str(got.value)
    with pytest.raises(ValueError, match="was fitted on 8×8×1"):
        clf.predict([images(8, 8)[0], images(9, 9)[0]])


def test_a_network_that_is_another_by_now_is_refused():
    clf = conv_classifier().fit(images(8, 8), Y)
    clf.set_params(net__width=4)
    with pytest.raises(ValueError, match=r"takes no other size: .*,4\] and is .*,8\]"):
        clf.predict(images(9, 9))
    clf = conv_classifier().fit(images(8, 8), Y)

    @as_network
    def anywhere(x, num_classes):
        net = layers.conv2d(x, 8, 3, normalizer_fn=layers.batch_norm, scope="conv1")
        net = layers.conv2d(net, 16, 3, scope="conv2")
        net = layers.conv2d(net, num_classes, 1, activation_fn=None, scope="maps")
        return layers.global_pool(net)

    clf.set_params(net=anywhere())
    with pytest.raises(ValueError, match="not the network of the fit any more"):
        clf.predict(images(9, 9))
    clf.predict(images(8, 8))


def test_too_small_images_channels_and_one_image():
    def valid(x, num_classes):
        net = layers.conv2d(x, 8, 5, padding="VALID")
        net = layers.conv2d(net, num_classes, 1, activation_fn=None)
        return layers.global_pool(net)

    clf = ConvNetClassifier(valid, max_iter=1, random_state=0).fit(images(8, 8), Y)
    clf.predict(images(5, 5))
    with pytest.raises(ValueError, match=r"images of 4×4×1.* no other size: .*5"):
        clf.predict(images(4, 4))
    with pytest.raises(ValueError, match="9×9×3"):
        clf.predict(images(9, 9, 3))
    with pytest.raises(ValueError, match=r"give X\[None\] if it is one image"):
        clf.predict(images(8, 8)[0])
    with pytest.raises(ValueError, match="expecting 64 features"):
        clf.predict(images(9, 9).reshape(60, -1))
    resizing = ConvNetClassifier(valid, resize_to=(8, 8), max_iter=1, random_state=0)
    pytest.importorskip("PIL")
    assert resizing.fit(images(8, 8), Y).predict(images(4, 4)).shape == (60,)
