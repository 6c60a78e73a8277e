"""Fine-tuning: given weights, renamed or in part, frozen layers, rates by layer."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.datasets import load_digits

from slimlearn import ConvNetClassifier, DNNClassifier, LinearClassifier
from slimlearn.backend.tensor_files import read_arrays
from slimlearn.callbacks import Callback, LayerRates, ParamFreezer, StartFrom

X, y = load_digits(return_X_y=True)
BYTES = (X * 15.9).astype(np.uint8).reshape(-1, 8, 8)
LOW, HIGH = y < 5, y >= 5
SMALL = {"filters": (8, 16), "max_iter": 10, "random_state": 0, "n_threads": 1}


@pytest.fixture(scope="module")
def known():
    return ConvNetClassifier(**SMALL).fit(BYTES[LOW], y[LOW])


def bits(estimator, layer):
    return {k: v.tobytes() for k, v in estimator.get_weights()[layer].items()}


def test_a_frozen_body_that_learned_five_digits_serves_the_others(known):
    callbacks = [StartFrom(known, exclude="logits"), ParamFreezer("conv*")]
    few = {**SMALL, "max_iter": 60, "callbacks": callbacks, "learning_rate": 0.01}
    clf = ConvNetClassifier(**few).fit(BYTES[HIGH][:100], y[HIGH][:100])
    for layer in ("conv1", "conv2"):
        assert bits(clf, layer) == bits(known, layer)
    assert clf.score(BYTES[HIGH][100:], y[HIGH][100:]) > 0.75
    assert bits(clf, "logits") != bits(known, "logits")
    assert set(clf.callbacks_[0][1].names_) == {
        *(f"conv{i}/{w}" for i in (1, 2) for w in ("weights", "biases"))
    }


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_steps_do_not_go_back_through_what_is_frozen_for_good(known, optimizer):
    callbacks = [StartFrom(known, exclude="logits"), ParamFreezer(["conv1", "conv2"])]
    settings = {**SMALL, "optimizer": optimizer, "l2_regularization": 0.1}
    if optimizer == "lbfgs":
        settings["tol"] = 10.0
    clf = ConvNetClassifier(**settings, callbacks=callbacks)
    clf.fit(BYTES[HIGH], y[HIGH])
    assert "convolution_" not in clf.program_.text
    for name, array in known.get_weights()["conv2"].items():
        np.testing.assert_array_equal(clf.get_weights()["conv2"][name], array)
    later = clone(clf).set_params(optimizer="adam", callbacks=[ParamFreezer("*", 5)])
    assert "convolution_filter_grad" in later.fit(BYTES[HIGH], y[HIGH]).program_.text
    still = clone(clf).set_params(callbacks=[StartFrom(clf), ParamFreezer("*")])
    still.fit(BYTES[HIGH], y[HIGH])
    for layer in ("conv1", "conv2", "logits"):
        assert bits(still, layer) == bits(clf, layer)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad"])
def test_layers_learn_at_their_own_rates(known, optimizer):
    settings = {**SMALL, "max_iter": 1, "batch_size": 1000, "optimizer": optimizer}
    settings |= {"learning_rate": 1e-3, "precision": "float64"}
    rates = {"conv*": 0.25, "conv1/biases": 0.0, "logits": 2.0}
    plain, scaled = (
        ConvNetClassifier(
            **settings, callbacks=[StartFrom(known, exclude="logits"), *more]
        ).fit(BYTES[LOW][:800], y[LOW][:800])
        for more in ((), (LayerRates(rates),))
    )
    start = ConvNetClassifier(
        **{**settings, "learning_rate": 1e-300},
        callbacks=[StartFrom(known, exclude="logits")],
    ).fit(BYTES[LOW][:800], y[LOW][:800])
    for name, factor in (
        ("conv1/weights", 0.25),
        ("conv1/biases", 0.0),
        ("conv2/biases", 0.25),
        ("logits/weights", 2.0),
    ):
        before = start.program_.weights[name]
        moved, want = (e.program_.weights[name] - before for e in (scaled, plain))
        assert np.abs(want).max() > 0
        np.testing.assert_allclose(moved, factor * want, rtol=1e-6, atol=1e-12)
    assert scaled.callbacks_[1][1].rates_["conv1/biases"] == 0.0


def test_rates_go_with_schedules_and_checkpoints_and_are_searchable(known):
    clf = ConvNetClassifier(
        **SMALL,
        learning_rate_schedule="cosine",
        callbacks=[("start", StartFrom(known)), ("rates", LayerRates({"*": 0.0}))],
    ).fit(BYTES[LOW], y[LOW])
    assert bits(clf, "logits") == bits(known, "logits")
    clf.set_params(callbacks__rates__rates={"conv*": 0.0}).fit(BYTES[LOW], y[LOW])
    assert bits(clf, "conv1") == bits(known, "conv1")
    assert bits(clf, "logits") != bits(known, "logits")


@pytest.mark.parametrize(
    ("callback", "kind", "text"),
    [
        (LayerRates({"conv9": 1.0}), ValueError, "no parameter fits 'conv9'.*conv1"),
        (LayerRates({"conv1": -1.0}), ValueError, "factor of 'conv1' must be a number"),
        (LayerRates({"conv1": "a"}), ValueError, "factor of 'conv1' must be a number"),
        (LayerRates({}), TypeError, "must be a dict from names"),
        (LayerRates(0.1), TypeError, "must be a dict from names"),
        (ParamFreezer("conv9"), ValueError, "no parameter fits 'conv9'"),
    ],
)
def test_refusals(callback, kind, text):
    with pytest.raises(kind, match=text):
        ConvNetClassifier(**SMALL, callbacks=[callback]).fit(BYTES, y)


class Thaw(Callback):
    """Trains what was frozen from the second epoch on."""

    def on_epoch_end(self, state):
        state.unfreeze("conv1")


def test_what_is_frozen_for_good_is_not_freed_by_others(known):
    settings = {**SMALL, "max_iter": 2}
    clf = ConvNetClassifier(**settings, callbacks=[ParamFreezer("conv*"), Thaw()])
    with pytest.raises(ValueError, match=r"'conv1/weights', .* frozen for good"):
        clf.fit(BYTES, y)
    clf.set_params(
        callbacks=[StartFrom(known, "conv*"), ParamFreezer("conv*", 9), Thaw()]
    )
    clf.fit(BYTES, y)
    assert bits(clf, "conv1") != bits(known, "conv1")
    assert bits(clf, "conv2") == bits(known, "conv2")


def test_lbfgs_has_no_rates():
    with pytest.raises(ValueError, match="L-BFGS has no learning rate of a layer"):
        LinearClassifier(callbacks=[LayerRates({"*": 1.0})]).fit(X, y)


def test_weights_that_do_not_fit_are_all_named_with_both_shapes(known):
    wide = ConvNetClassifier(**{**SMALL, "filters": (8, 12)})
    for call in (
        lambda: clone(wide).set_params(callbacks=[StartFrom(known)]).fit(BYTES, y),
        lambda: clone(wide).fit(BYTES, y).set_weights(known),
    ):
        with pytest.raises(ValueError, match="weights do not fit") as told:
            call()
        text = str(told.value)
        assert "4 of 6 weights do not fit: " in text
        for part in (
            "conv2/weights is float32 of shape (3, 3, 8, 12), given is float32 of "
            "shape (3, 3, 8, 16)",
            "conv2/biases is float32 of shape (12,), given is float32 of shape (16,)",
            "logits/biases is float32 of shape (10,), given is float32 of shape (5,)",
            "skip_mismatch=True",
        ):
            assert part in text
    start = StartFrom(known, skip_mismatch=True)
    clf = clone(wide).set_params(callbacks=[start, ParamFreezer("conv1")])
    clf.fit(BYTES, y)
    done = clf.callbacks_[0][1]
    assert done.names_ == ["conv1/weights", "conv1/biases"]
    assert set(done.skipped_) == {
        f"{layer}/{name}" for layer in ("conv2", "logits") for name in WORDS
    }
    assert bits(clf, "conv1") == bits(known, "conv1")
    with pytest.raises(ValueError, match="2 of 2 weights do not fit"):
        clf.set_weights({"logits": known.get_weights()["logits"]}, skip_mismatch=True)


WORDS = ("weights", "biases")


@pytest.mark.parametrize(
    "rename",
    [
        {"net/first": "conv1", "net/": ""},
        {"net/first/": "conv1/", "net": "nowhere", "net/conv2": "conv2"},
        lambda name: name.replace("net/", "").replace("first", "conv1"),
    ],
)
def test_names_are_translated(known, rename):
    given = {
        f"net/{name}".replace("conv1", "first"): array
        for name, array in known.program_.weights.items()
        if name.startswith("conv")
    }
    clf = ConvNetClassifier(**{**SMALL, "max_iter": 1}).fit(BYTES, y)
    clf.set_weights(given, rename=rename)
    for layer in ("conv1", "conv2"):
        assert bits(clf, layer) == bits(known, layer)
    with pytest.raises(ValueError, match=r"no 'net/first/weights' \(given is float32"):
        clf.set_weights(given)
    with pytest.raises(ValueError, match=r"both 'net/first/weights' and .*'a'"):
        clf.set_weights(given, rename=lambda name: "a")
    with pytest.raises(TypeError, match="rename must be a dict"):
        clf.set_weights(given, rename=["conv1"])


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_files_of_other_libraries(known, kind, tmp_path):
    path = tmp_path / f"weights.{kind}"
    arrays = {k: np.array(v) for k, v in known.program_.weights.items()}
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    start = StartFrom(path, exclude="logits")
    clf = ConvNetClassifier(**SMALL, callbacks=[start, ParamFreezer("conv*")])
    clf.fit(BYTES, y)
    assert bits(clf, "conv2") == bits(known, "conv2")
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match="damaged"):
        clf.set_weights(path)
    known.program_.save(tmp_path / "own.slim")
    assert read_arrays(tmp_path / "own.slim") is None
    clf.set_weights(tmp_path / "own.slim", include="conv1")


def test_types_in_safetensors_files(tmp_path):
    path = tmp_path / "types.safetensors"
    given = {
        "half": np.arange(4, dtype=np.float16),
        "wide": np.arange(6.0).reshape(2, 3),
        "whole": np.arange(3, dtype=np.int64),
        "none": np.zeros((0, 2), np.float32),
    }
    save_file(given, path)
    found = read_arrays(path)
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    short = np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16
    _write(path, {"b": ("BF16", [2], short.astype(np.uint16).tobytes())})
    np.testing.assert_array_equal(read_arrays(path)["b"], [1.0, -2.5])


def _write(path, arrays, **changes):
    header, data = {}, b""
    for name, (dtype, shape, content) in arrays.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        header[name] |= changes
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [3]},
        {"shape": [2**40, 2**40]},
        {"dtype": "F99"},
        {"data_offsets": [0, 80]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": 3},
        {"more": 1},
    ],
)
def test_damaged_safetensors_files(changes, tmp_path):
    path = tmp_path / "bad.safetensors"
    _write(path, {"a": ("F32", [2], bytes(8))}, **changes)
    clf = DNNClassifier((3,), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"bad.safetensors: .* is damaged"):
        clf.set_weights(path)
