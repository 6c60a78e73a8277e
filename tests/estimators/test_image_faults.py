"""What users of the image estimators get wrong, or find missing, is told to them."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from slimlearn import ConvNetClassifier, DNNClassifier, layers, ops
from slimlearn.layers import nets

RNG = np.random.default_rng(0)
Y = np.arange(40) % 2
UNIT = RNG.random((40, 8, 8)).astype(np.float32) * 0.9 + Y[:, None, None] * 0.1
SMALL = {"filters": (4,), "max_iter": 1, "random_state": 0}


def fitted(X, **options):
    return ConvNetClassifier(**{**SMALL, **options}).fit(X, Y)


# -- ranges ----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (64,)], ids=str)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "activations"])
def test_numbers_of_another_range_are_told(method, shape, rows):
    clf = fitted(UNIT.reshape(-1, *shape))
    given = UNIT[:rows].reshape(-1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(clf, method)(given)
        getattr(clf, method)(given * 0)
    with pytest.warns(UserWarning, match=r"numbers from .* to 2\d\d.*, but those") as w:
        getattr(clf, method)(given * np.float32(255))
    assert len(w) == 1
    assert w[0].filename == __file__
    assert "went from 0.00" in str(w[0].message)


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_fractions_after_whole_numbers_are_told(kind):
    whole = np.rint(UNIT * 255).astype(kind)
    clf = fitted(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(whole)
        clf.predict(whole // 255)
    with pytest.warns(UserWarning, match="scale both alike"):
        clf.predict(UNIT)


def test_a_fit_that_goes_on_is_looked_at():
    clf = ConvNetClassifier(**SMALL).partial_fit(UNIT, Y, classes=[0, 1])
    with pytest.warns(UserWarning, match="scale both alike"):
        clf.partial_fit(UNIT * 255, Y)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
@pytest.mark.parametrize("how", ["partial_fit", "warm_start", "chunks"])
def test_a_fit_of_fractions_does_not_go_on_with_bytes(how, kind):
    bytes_ = np.rint(UNIT * 255).astype(kind)
    clf = ConvNetClassifier(**SMALL, warm_start=how == "warm_start")
    with pytest.raises(ValueError, match="images with fractions: give both alike, as"):
        if how == "chunks":
            clf.fit_chunks([(UNIT, Y), (bytes_, Y)], classes=[0, 1])
        elif how == "partial_fit":
            clf.partial_fit(UNIT, Y, classes=[0, 1]).partial_fit(bytes_, Y)
        else:
            clf.fit(UNIT, Y).fit(bytes_, Y)


def test_lists_of_bytes_and_fractions_are_refused():
    images = [*UNIT[:39], np.zeros((8, 8), np.uint8)]
    with pytest.raises(ValueError, match="image 39 is uint8, image 0 is float64: give"):
        fitted(images)


def test_lists_of_images_with_and_without_a_channel():
    mixed = [UNIT[0, :, :, None], *UNIT[1:]]
    np.testing.assert_array_equal(
        fitted(mixed).predict_proba(UNIT), fitted(UNIT).predict_proba(UNIT)
    )
    with pytest.raises(ValueError, match="8×8×1, image 1 is 8×8×3: give all the same"):
        fitted([UNIT[0], *(np.stack([i] * 3, -1) for i in UNIT[1:])])


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("at", [0, 39])
def test_an_image_that_is_missing_in_a_list_is_named(at, missing):
    images = list(UNIT)
    images[at] = missing
    with pytest.raises(ValueError, match=rf"number {at} is {missing}: give H×W"):
        fitted(images)


@pytest.mark.parametrize("kind", [ConvNetClassifier, DNNClassifier])
def test_masked_numbers_are_not_read_as_if_they_were_there(kind):
    X = UNIT.reshape(40, 64)
    clf = kind(max_iter=1, random_state=0).fit(np.ma.masked_array(X, False), Y)
    masked = np.ma.masked_array(X, X > 0.9)
    text = rf"{np.sum(X > 0.9)} of 2560 numbers .* masked.*array.filled\(0\)"
    for given in (clf.predict, lambda X: clf.fit(X, Y)):
        with pytest.raises(ValueError, match=text):
            given(masked)


# -- shapes ----------------------------------------------------------------------------


def test_flat_rows_of_colours_are_noticed():
    flat = np.repeat(UNIT, 3, axis=-1).reshape(40, -1)
    with pytest.warns(UserWarning, match=r"coloured .* set image_shape=\(8, 8, 3\)"):
        fitted(flat)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(flat, image_shape=(8, 8, 3)).predict(flat)
        fitted(flat, image_shape=(1, 192))
        fitted(flat[:, :147])  # 7×7×3


def test_channels_that_stand_first_in_predictions_are_told():
    clf = fitted(np.stack([UNIT] * 3, axis=-1))
    with pytest.raises(ValueError, match=r"stand first, give X.transpose\(0, 2, 3, 1"):
        clf.predict(np.stack([UNIT] * 3, axis=1))
    with pytest.raises(ValueError, match=r"8×8×3: give images of 3 channels$"):
        clf.predict(UNIT)
    clf.warm_start = True
    with pytest.raises(ValueError, match="give images of 3 channels, or set warm_st"):
        clf.fit(UNIT, Y)


@pytest.mark.parametrize("augment", [None, "random_flip"])
def test_images_too_small_for_a_network_are_told_its_size(augment):
    made = [nets.vgg.vgg_16, nets.nets_factory.get_network_fn("vgg_16")]
    for net in made:
        text = (
            r"pool4.*does not fit.*; vgg_16 was made for images of 224×224, these are "
            r"8×8: resize_to=\(224, 224\)"
        )
        with pytest.raises(ValueError, match=text):
            ConvNetClassifier(net, augment=augment).fit(UNIT, Y)
    with pytest.raises(ValueError, match="it returned f64") as caught:
        ConvNetClassifier(lambda x, num_classes: x).fit(UNIT, Y)
    assert "resize_to" not in str(caught.value)


def test_logits_of_a_fully_convolutional_network():
    """[B, 1, 1, classes], as TF-Slim's networks return them unless told otherwise."""

    def net(x, num_classes, squeeze=False):
        x = layers.conv2d(x, num_classes, 8, padding="VALID", activation_fn=None)
        return ops.squeeze(x, [1, 2]) if squeeze else x

    def squeezed(x, num_classes):
        return net(x, num_classes, squeeze=True)

    for classes in (2, 3):
        labels = np.arange(40) % classes
        one, other = (
            ConvNetClassifier(n, max_iter=2, random_state=0).fit(UNIT, labels)
            for n in (net, squeezed)
        )
        np.testing.assert_array_equal(
            one.predict_proba(UNIT), other.predict_proba(UNIT)
        )


def test_standardized_rows_may_lie_far_out():
    flat = UNIT.reshape(40, 64).astype(np.float64)
    flat[:, 0] = 0
    flat[0, 0] = 1e-6  # a column that hardly varies
    model = make_pipeline(StandardScaler(), ConvNetClassifier(**SMALL)).fit(flat, Y)
    flat[:, 0] = 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(flat)


# -- images that are not finite --------------------------------------------------------


@pytest.mark.parametrize("bad, word", [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("method", ["fit", "predict"])
def test_images_that_are_not_finite_are_named(method, bad, word):
    X = UNIT.copy()
    X[[7, 30], 3, 3] = bad
    clf = ConvNetClassifier(**SMALL) if method == "fit" else fitted(UNIT)
    given = (X, Y) if method == "fit" else (X,)
    text = rf"Input X contains {word} in image 7 \(2 of 40 images\)"
    with pytest.raises(ValueError, match=text):
        getattr(clf, method)(*given)


def test_in_lists_of_several_sizes_too():
    images = [np.ones((8, 8), np.float32), np.full((9, 8), np.nan, np.float32)]
    with pytest.raises(ValueError, match="contains NaN in image 1:"):
        ConvNetClassifier(resize_to=(8, 8), **SMALL).fit(images, [0, 1])


# -- files -----------------------------------------------------------------------------


def test_only_fit_goes_without_files(tmp_path):
    image = pytest.importorskip("PIL.Image")
    paths = [str(tmp_path / f"{i}.png") for i in range(40)]
    for path, pixels in zip(paths, UNIT, strict=True):
        image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    broken = str(tmp_path / "broken.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="or set on_error='skip' to fit without it"):
        fitted([broken, *paths[1:]])
    for on_error in ("raise", "skip"):
        clf = fitted(paths, on_error=on_error)
        with pytest.raises(ValueError, match="cannot be read") as caught:
            clf.predict([paths[0], broken])
        assert "on_error" not in str(caught.value)
        assert "mend or leave it out" in str(caught.value)
        assert ("only fit goes without" in str(caught.value)) == (on_error == "skip")


# -- another size ----------------------------------------------------------------------


def test_partial_fit_of_another_size_is_not_told_of_warm_start():
    clf = ConvNetClassifier(**SMALL).partial_fit(UNIT, Y, classes=[0, 1])
    with pytest.raises(
        ValueError, match=r"8×7×1, but those of the fit .* 8×8×1"
    ) as got:
        clf.partial_fit(UNIT[:, :, :7], Y)
    assert "warm_start" not in str(got.value)
    assert "resize_to=(8, 8)" in str(got.value)
    clf = fitted(UNIT, warm_start=True)
    with pytest.raises(ValueError, match="set warm_start=False"):
        clf.fit(UNIT[:, :, :7], Y)


# -- devices ---------------------------------------------------------------------------


def test_a_device_s_error_tells_of_that_device_alone():
    with pytest.raises(InvalidParameterError) as first:
        DNNClassifier(device="cuda:7").fit(UNIT.reshape(40, 64), Y)
    with pytest.raises(InvalidParameterError) as second:
        DNNClassifier(device="tpu").fit(UNIT.reshape(40, 64), Y)
    assert "not 'cuda:7'" in str(first.value)
    assert "cuda" not in str(second.value)
    assert "'tpu'" in str(second.value)


def test_a_gpu_that_is_gone_is_told_of_the_user_s_line():
    clf = DNNClassifier((4,), max_iter=1).fit(UNIT.reshape(40, 64), Y)
    clf.device = "cuda:7"
    again = DNNClassifier.__new__(DNNClassifier)
    again.__setstate__(clf.__getstate__())
    with pytest.warns(UserWarning, match="the CPU computes instead") as caught:
        again.predict(UNIT.reshape(40, 64))
    assert [w.filename for w in caught] == [__file__]


AUTO = """
import warnings
import numpy as np
from scipy import sparse
from slimlearn import DNNClassifier
from slimlearn.backend import engine
from slimlearn.estimators import where
from slimlearn.backend.engine.native import native

native.register_emulated_device("emulated")
where.GPU = "emulated"
X = np.random.default_rng(0).random((40, 12), dtype=np.float32)
y = np.arange(40) % 2
options = {"hidden_units": (4,), "max_iter": 2, "random_state": 0}

def told(X, **more):
    clf = DNNClassifier(device="auto", **options, **more).fit(X, y)
    clf.predict(X)
    return clf._handle.native._wanted[1]

print(told(X), told(sparse.csr_array(X)), told(X, batch_size=10, accumulate=2))
"""


def test_auto_takes_a_gpu_for_sparse_rows_and_for_steps_in_parts():
    done = subprocess.run(
        [sys.executable, "-c", AUTO], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["emulated"] * 3
