"""Estimators and pipelines as ONNX: what ONNX Runtime predicts is what they do."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from slimlearn import (
    Autoencoder,
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    Seq2Seq,
    SequenceClassifier,
    SequenceTagger,
    layers,
    ops,
)
from slimlearn import loss as loss_of

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
CODES = RNG.integers(0, 3, 60)
IDS = RNG.integers(0, 9, (60, 2))


def session(model):
    return rt.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def compute(model, feeds):
    runtime = session(model)
    if not isinstance(feeds, dict):
        feeds = {runtime.get_inputs()[0].name: feeds}
    names = [output.name for output in runtime.get_outputs()]
    return dict(zip(names, runtime.run(None, feeds)))


def check(est, X, feeds=None, model=None):
    """Compare for one, two and seven rows."""
    model = est.to_onnx() if model is None else model
    for rows in (1, 2, 7):
        some = X[:rows]
        fed = some if feeds is None else {k: v[:rows] for k, v in feeds.items()}
        got = compute(model, fed)
        if not hasattr(est, "predict_proba"):
            want = est.predict(some)
            np.testing.assert_allclose(
                got["variable"], want.reshape(rows, -1), rtol=1e-5, atol=1e-5
            )
            continue
        assert list(got) == ["label", "probabilities"]
        want = est.predict_proba(some)
        want = np.hstack(want) if isinstance(want, list) else want
        np.testing.assert_allclose(got["probabilities"], want, rtol=0, atol=1e-5)
        assert (got["label"] == est.predict(some)).all()
    return model


TARGETS = {
    "numbers": CODES,
    "two": CODES > 1,
    "words": np.array(["a", "ü", "longer"])[CODES],
    "objects": np.array(["a", "b", "c"], object)[CODES],
    "floats": CODES + 1.0,
    "labels": RNG.integers(0, 2, (60, 3)),
    "outputs": np.c_[CODES, IDS[:, 0]],
}


@pytest.mark.parametrize("name", TARGETS)
def test_classes(name):
    clf = DNNClassifier((8,), max_iter=2, batch_norm=True, dropout=0.1)
    model = check(clf.fit(X, TARGETS[name]), X)
    assert model.ir_version == 8 and model.opset_import[0].version == 17


def test_a_loss_without_probabilities():
    clf = DNNClassifier((8,), max_iter=2, loss="hinge").fit(X, CODES)
    got = compute(clf.to_onnx(), X)
    assert list(got) == ["label", "scores"] and (got["label"] == clf.predict(X)).all()
    np.testing.assert_allclose(got["scores"], clf.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "poisson"},
        {"loss": "gaussian"},
        {"loss": "gaussian_mixture"},
        {"loss": "quantile", "quantile": (0.9, 0.1, 0.5)},
        {"loss": "huber"},
    ],
    ids=str,
)
def test_numbers_in_the_units_of_y(params, several):
    y = 1000 + 5 * np.exp(X[:, :2]) if several else 3 * np.exp(X[:, 0])
    reg = DNNRegressor((8,), max_iter=2, **params).fit(X, y)
    got = compute(check(reg, X), X)
    if params.get("quantile"):
        np.testing.assert_allclose(
            got["quantiles"], reg.predict_quantiles(X), rtol=1e-5, atol=1e-5
        )
    elif "gaussian" in params.get("loss", ""):
        _, std = reg.predict(X, return_std=True)
        np.testing.assert_allclose(got["std"].reshape(std.shape), std, rtol=1e-5)


def test_float64():
    X64 = 100 + 100 * X.astype(np.float64)
    reg = DNNRegressor((8,), max_iter=2).fit(X64, X64[:, 0])
    model = reg.to_onnx(precision="float64")
    got = compute(model, X64)["variable"][:, 0]
    np.testing.assert_allclose(got, reg.predict(X64), rtol=1e-12)


def branches(x):
    x = layers.fully_connected(x, 8, normalizer_fn=layers.layer_norm)
    large = ops.reduce_max(ops.abs(x)) > 1e6
    return ops.cond(large, lambda: x * 2, lambda: layers.fully_connected(x, 8))


def roots(x):
    x = ops.abs(x) + 0.1
    return ops.while_loop(
        lambda g: ops.reduce_max(ops.abs(g * g - x)) > 1e-5,
        lambda g: (g + x / g) / 2,
        x + 1,
        maximum_iterations=50,
    )


def attention(x):
    h = ops.reshape(layers.fully_connected(x, 12), (-1, 3, 4))
    scores = ops.matmul(layers.fully_connected(h, 4), h, transpose_b=True)
    return ops.reshape(ops.matmul(ops.softmax(scores), h), (-1, 12))


def running(x):
    def step(total, one):
        total = ops.tanh(layers.fully_connected(ops.concat([total, one], 1), 5))
        return total, total * 2

    start = layers.fully_connected(x, 5)
    steps = ops.reshape(layers.fully_connected(x, 12), (-1, 4, 3))
    last, ys = ops.scan(step, start, steps, axis=1, reverse=True)
    return ops.concat([last, ops.reshape(ys, (-1, 20))], 1)


def deep(x):
    for _ in range(60):
        x = layers.fully_connected(x, 6, activation_fn=ops.tanh)
    return x


@pytest.mark.parametrize("net", [branches, roots, attention, running, deep])
def test_networks(net):
    check(NetworkClassifier(net, max_iter=1, random_state=0).fit(X, CODES), X)
    check(NetworkRegressor(net, max_iter=1, random_state=0).fit(X, X[:, 0]), X)


def random_network(seed):
    """A network of layers that a seed chooses."""
    rng = np.random.default_rng(seed)

    def net(x):
        for _ in range(rng.integers(1, 5)):
            activation = rng.choice(["relu", "elu", "gelu", "mish", "selu", "tanh"])
            x = layers.fully_connected(
                x,
                int(rng.integers(1, 20)),
                activation_fn=getattr(ops, activation, None)
                or getattr(layers.activation, activation),
            )
            kind = rng.integers(0, 5)
            if kind == 0:
                x = layers.batch_norm(x)
            elif kind == 1:
                x = layers.layer_norm(x)
            elif kind == 2:
                x = ops.concat([x, ops.reduce_max(x, 1, keepdims=True) - x], 1)
            elif kind == 3:
                x = x + layers.fully_connected(x, x.shape[1])
        return x

    return net


@pytest.mark.parametrize("seed", range(8))
def test_generated_networks(seed):
    # The generator is drawn anew for each of the network's builds; of other weights, a
    # norm of few numbers that are nearly one tells more than `check` lets pass.
    reg = NetworkRegressor(
        lambda x: random_network(seed)(x), max_iter=1, random_state=seed
    )
    check(reg.fit(X, X[:, 0]), X)


@pytest.mark.parametrize("cell", ["lstm", "gru", "conv"])
def test_sequences_of_any_length(cell):
    series = RNG.normal(size=(60, 9, 3)).astype(np.float32)
    clf = SequenceClassifier(cell=cell, max_iter=1).fit(series, CODES)
    model = check(clf, series)
    check(clf, series[:, :5], model=model)


def test_sequences_of_own_lengths():
    lengths = RNG.integers(2, 7, 60)
    parts = [RNG.normal(size=(n, 3)).astype(np.float32) for n in lengths]
    clf = SequenceClassifier(cell="gru", max_iter=1).fit(parts, CODES)
    padded = np.zeros((60, 6, 3), np.float32)
    for row, part in zip(padded, parts):
        row[: len(part)] = part
    feeds = {"X": padded, "lengths": lengths.astype(np.int64)}
    check(clf, parts, feeds)


def test_images():
    images = RNG.integers(0, 256, (60, 12, 10, 3), np.uint8)
    clf = ConvNetClassifier(max_iter=1).fit(images, CODES)
    check(clf, images, {"X": images.astype(np.float32)})


def test_sparse_rows_are_given_dense():
    rows = sp.random(60, 50, 0.2, format="csr", random_state=0, dtype=np.float32)
    clf = LinearClassifier(max_iter=2, optimizer="adam").fit(rows, CODES)
    check(clf, rows.toarray())
    reg = LinearRegressor(max_iter=2, optimizer="adam").fit(rows, X[:, 0])
    check(reg, rows.toarray())


def test_inputs_by_name_alone_and_in_a_pipeline():
    skl2onnx = pytest.importorskip("skl2onnx")

    def net(x):
        e = layers.embedding(x["ids"], 9, 4)
        return ops.concat([x["numbers"], ops.reshape(e, (-1, 8))], 1)

    both = np.c_[X, IDS].astype(np.float32)
    inputs = {"numbers": slice(0, 6), "ids": [6, 7]}
    clf = NetworkClassifier(net, inputs=inputs, max_iter=1)
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcdef"))
    frame["g"], frame["h"] = IDS.T
    clf.fit(frame, CODES)
    check(clf, frame, {"numbers": X, "ids": IDS})
    pipe = make_pipeline(clf)
    model = skl2onnx.to_onnx(pipe, both[:1], target_opset=17)
    got = compute(model, both)["probabilities"]
    np.testing.assert_allclose(got, clf.predict_proba(frame), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [None, {"zipmap": False}])
def test_pipelines(dtype, options):
    skl2onnx = pytest.importorskip("skl2onnx")
    both = np.c_[X, IDS].astype(dtype)
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), [6, 7]), (StandardScaler(), slice(0, 6))
    )
    pipe = make_pipeline(columns, DNNClassifier((8,), max_iter=2))
    pipe.fit(both, TARGETS["words"])
    ids = options and {id(pipe): options}
    model = skl2onnx.to_onnx(pipe, both[:1], target_opset=17, options=ids)
    check(pipe, both, model=model)


def test_autoencoders():
    for loss in ("squared_error", "log_loss"):
        shares = np.clip(np.abs(X), 0, 1)
        est = Autoencoder(max_iter=1, loss=loss).fit(shares)
        got = compute(est.to_onnx(), shares)
        np.testing.assert_allclose(got["variable"], est.reconstruct(shares), atol=1e-5)
        np.testing.assert_allclose(got["code"], est.transform(shares), atol=1e-5)


def padded(rows, kind, steps=None):
    """Sequences side by side with zeros or empty texts behind, and their lengths."""
    lengths = np.array([len(row) for row in rows])
    shape = (len(rows), steps or lengths.max(), *np.shape(rows[0])[1:])
    array = np.full(shape, "" if kind is object else 0, kind)
    for one, row in zip(array, rows):
        one[: len(row)] = row if isinstance(row, np.ndarray) else list(row)
    return {"X": array, "lengths": lengths.astype(np.int64)}


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_labels_of_steps(loss):
    steps = [RNG.normal(size=(n, 3)).astype("f") for n in (3, 5, 4) * 10]
    tags = [np.array(["a", "b"])[RNG.integers(0, 2, len(part))] for part in steps]
    tagger = SequenceTagger(max_iter=1, cell="gru", loss=loss).fit(steps, tags)
    name = "probabilities" if loss == "log_loss" else "scores"
    tell = tagger.predict_proba if loss == "log_loss" else tagger.decision_function
    made = tagger.to_onnx()
    for rows in (1, 7):
        some = steps[:rows]
        got = compute(made, padded(some, np.float32, steps=9))
        for i, (labels, told) in enumerate(zip(tagger.predict(some), tell(some))):
            assert got["label"][i, : len(labels)].tolist() == labels.tolist()
            np.testing.assert_allclose(got[name][i, : len(told)], told, atol=1e-5)


@pytest.mark.parametrize("words", [False, True])
def test_the_search_of_tokens(words):
    X = [RNG.integers(1, 5, n).tolist() for n in (3, 5, 4) * 20]
    y = [[7 * x for x in row[::-1]] for row in X]
    if words:
        X, y = (
            ["".join("_abcdefg"[x % 7] for x in r) for r in rows] for rows in (X, y)
        )
    model = Seq2Seq(max_iter=15, random_state=0, learning_rate=0.01, beam_width=3)
    model.fit(X, y)
    made = model.to_onnx()
    for some in (X[:7], X[:1], X[1:2] + X[:1]):
        got = compute(made, padded(some, object if words else np.int64))
        for i, beams in enumerate(model.predict_beams(some)):
            found = {}
            for beam, count, score in zip(
                got["sequences"][i], got["n_tokens"][i], got["scores"][i]
            ):
                tokens = beam[:count].tolist()
                if np.isfinite(score):
                    found.setdefault("".join(tokens) if words else tuple(tokens), score)
            want = {beam if words else tuple(beam): score for beam, score in beams}
            assert list(found) == list(want)
            for beam, score in want.items():
                assert abs(found[beam] - score) < 1e-5
    if words:  # what the vocabulary has not
        got = compute(made, padded(["ab?"], object))
        told = got["sequences"][0, 0, : got["n_tokens"][0, 0]]
        assert "".join(told) == model.predict(["ab?"])[0]


def test_what_is_wrong_is_said():
    with pytest.raises(NotFittedError):
        DNNClassifier().to_onnx()
    clf = DNNClassifier((4,), max_iter=1).fit(X, CODES)
    with pytest.raises(ValueError, match=r"target_opset=3: .*16 to .*17 is what ONNX"):
        clf.to_onnx(target_opset=3)
    for odd in ("17", None, 17.0):
        with pytest.raises(ValueError, match=f"target_opset={odd!r}: .*16 to "):
            clf.to_onnx(target_opset=odd)
    with pytest.raises(ValueError, match="precision is 'float32' or 'float64'"):
        clf.to_onnx(precision="half")

    def noisy(x):
        return x + ops.random_normal(x.shape) * 1e-3

    clf = NetworkClassifier(noisy, max_iter=1).fit(X, CODES)
    with pytest.raises(ValueError, match=r"\[random_normal .*as ONNX: .*other random"):
        clf.to_onnx()

    @loss_of(outputs=2, mean=lambda raw: raw[..., 0])
    def own(raw, y):
        return ops.square(raw[..., 0] - y) + 0 * raw[..., 1]

    reg = DNNRegressor((4,), loss=own(), max_iter=1).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"functions of its own.*est\.save"):
        reg.to_onnx()


MISSING = """
import sys
sys.modules["onnx"] = None
import numpy as np
from slimlearn import DNNClassifier
clf = DNNClassifier((4,), max_iter=1).fit(np.eye(40), np.arange(40) % 2)
try:
    clf.to_onnx()
except ImportError as error:
    print(error)
"""


def test_without_the_extra():
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True
    )
    assert 'pip install "slimlearn[onnx]"' in done.stdout, done.stderr
