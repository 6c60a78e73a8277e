"""class_weight of several labels per row: it weighs each label's loss."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from support.reference_runtime import ReferenceModel

from slimlearn import DNNClassifier, LinearClassifier, loss, ops
from slimlearn.backend import training
from slimlearn.layers import per_example

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 4))
NOISE = RNG.logistic(size=(500, 3))
# Two labels that every second row has, and a rare one.
LABELS = (X[:, :3] * [1.0, -2.0, 1.5] + NOISE + [0.0, 0.0, -4.0] > 0).astype(int)
OUTPUTS = np.c_[np.digitize(X[:, 0] + NOISE[:, 0], [-1.0, 2.5]), 5 + LABELS[:, 2]]
WEIGHTS = RNG.integers(0, 3, size=500).astype(float)
EXACT = {"tol": 1e-7, "max_iter": 1000, "l2_regularization": 0.0}
FEW = {"max_iter": 3, "random_state": 0, "precision": "float64"}


def weighted(target, wish, weights=None):
    """The factor of each label of each row, by hand."""
    weights = np.ones(len(target)) if weights is None else weights
    columns = []
    for column, part in zip(target.T, wish):
        if part == "balanced":
            kinds, codes = np.unique(column, return_inverse=True)
            sums = np.bincount(codes, weights)
            columns.append((weights.sum() / (len(kinds) * sums))[codes])
        else:
            columns.append([(part or {}).get(v, 1.0) for v in column.tolist()])
    found = np.array(columns).T
    return found / np.average(found, axis=0, weights=weights).mean()


def test_each_label_is_balanced():
    """A rare label is found, and the others do not pay for it."""
    clf = LinearClassifier().fit(X, LABELS)
    plain = f1_score(LABELS, clf.predict(X), average=None, zero_division=0)
    clf.set_params(class_weight="balanced").fit(X, LABELS)
    fair = f1_score(LABELS, clf.predict(X), average=None)
    assert fair[2] > plain[2] + 0.1
    assert (fair[:2] > plain[:2] - 0.05).all()
    assert fair.mean() > plain.mean() + 0.03


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize(
    "target, own",
    [(LABELS, False), (LABELS, True), (OUTPUTS, False)],
    ids=["labels", "labels, own loss", "outputs"],
)
def test_weights_are_those_of_logistic_regressions(target, weights, own):
    """With nothing shared and no penalty each label is a model of its own."""
    wish = [{0: 1, 1: 3}, {0: 2.0}, {1: 5.0}]
    if target is OUTPUTS:
        wish = [{1: 3.0, 2: 0.5}, {5: 0.7, 6: 4.0}]
    clf = LinearClassifier(class_weight=wish, **EXACT)
    if own:
        clf.set_params(loss=per_example.sigmoid_cross_entropy)
    clf.fit(X, target, weights)
    shares = clf.predict_proba(X)
    for i, part in enumerate(wish):
        peer = LogisticRegression(C=np.inf, class_weight=part, tol=1e-10)
        wanted = peer.set_params(max_iter=10_000).fit(X, target[:, i], weights)
        wanted = wanted.predict_proba(X)
        found = shares[i] if target is OUTPUTS else shares[:, i]
        wanted = wanted if target is OUTPUTS else wanted[:, 1]
        np.testing.assert_allclose(found, wanted, atol=2e-4)


@pytest.mark.parametrize("target", [LABELS, OUTPUTS], ids=["labels", "outputs"])
def test_balanced_labels_are_balanced_logistic_regressions(target):
    clf = LinearClassifier(class_weight="balanced", **EXACT).fit(X, target)
    shares = clf.predict_proba(X)
    for i, column in enumerate(target.T):
        peer = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10)
        wanted = peer.set_params(max_iter=10_000).fit(X, column).predict_proba(X)
        found = shares[i] if target is OUTPUTS else shares[:, i]
        wanted = wanted if target is OUTPUTS else wanted[:, 1]
        np.testing.assert_allclose(found, wanted, atol=2e-4)


@pytest.mark.parametrize("wish", ["balanced", [{1: 5.0}, None, {0: 0.5, 1: 2.0}]])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
def test_the_loss_is_that_of_positive_weights(wish, weights):
    """Σ w·(p·y·log σ(z) + n·(1 − y)·log(1 − σ(z))), PyTorch's formula of pos_weight."""
    clf = DNNClassifier((6,), class_weight=wish, optimizer="sgd", learning_rate=1e-12)
    clf.set_params(**FEW).fit(X, LABELS, weights)
    parts = [wish] * 3 if wish == "balanced" else wish
    p = clf.predict_proba(X)
    losses = -np.where(LABELS == 1, np.log(p), np.log(1 - p))
    rows = (weighted(LABELS, parts, weights) * losses).mean(axis=1)
    assert clf.loss_ == pytest.approx(np.average(rows, weights=weights), rel=1e-9)


def test_pytorch_s_pos_weight():
    target = np.array([[1, 0], [0, 1]] * 10)
    clf = LinearClassifier(class_weight=[{1: 5.0}, None], optimizer="sgd")
    clf.set_params(learning_rate=1e-30, max_iter=1, l2_regularization=0.0)
    clf.fit(np.zeros((20, 1)), target)
    clf.set_weights({"linear": {"biases": [0.5, 0.5]}})
    clf.set_params(warm_start=True).fit(np.zeros((20, 1)), target)
    # torch.nn.BCEWithLogitsLoss(pos_weight=tensor([5.0, 1.0])) of PyTorch 2.13 at the
    # logits [0.5, 0.5], for [1, 0] and for [0, 1].
    first, second = 1.6722309525403198, 0.7240769841801067
    assert clf.loss_ == pytest.approx((first + second) / 2 / 2, rel=1e-6)


@pytest.mark.parametrize("target", [LABELS, OUTPUTS], ids=["labels", "outputs"])
@pytest.mark.parametrize("one", ["log_loss", "hinge", "focal"])
def test_training_is_the_reference_s(one, target, monkeypatch):
    clf = DNNClassifier((6,), loss=one, class_weight="balanced", early_stopping=True)
    clf.set_params(**FEW)
    native = clone(clf).fit(X, target, WEIGHTS)
    plain = clone(clf).set_params(class_weight=None).fit(X, target, WEIGHTS)
    assert not np.allclose(native.coefs_[0], plain.coefs_[0])
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    peer = clone(clf).fit(X, target, WEIGHTS)
    np.testing.assert_allclose(native.loss_curve_, peer.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(
        native.validation_loss_curve_, peer.validation_loss_curve_, rtol=1e-9
    )


@pytest.mark.parametrize("target", [LABELS, OUTPUTS], ids=["labels", "outputs"])
def test_the_ways_to_fit_agree(target):
    wish = [{1: 2.0}, {0: 0.5}, None] if target is LABELS else [{1: 2.0}, {6: 4.0}]
    clf = DNNClassifier((6,), class_weight=wish, **FEW)
    found = clone(clf).fit(X, target, WEIGHTS)
    chunks = clone(clf).fit_chunks([(X, target, WEIGHTS)])
    np.testing.assert_array_equal(chunks.coefs_[0], found.coefs_[0])
    assert chunks.loss_curve_ == found.loss_curve_
    halves = [(X[:250], target[:250]), (X[250:], target[250:])]
    assert clone(clf).fit_chunks(halves).loss_ != found.loss_
    part = clone(clf).fit(X, target).partial_fit(X, target, sample_weight=WEIGHTS)
    assert part.n_iter_ == 4
    few = clone(clf).partial_fit(X, target, classes=found.classes_)
    assert few.partial_fit(X[:9], target[:9]).n_iter_ == 2


def test_one_factor_for_all_is_none():
    clf = DNNClassifier((6,), **FEW)
    wanted = clone(clf).fit(X, LABELS)
    for wish in ([None] * 3, [{}, None, {}], [{0: 3.0, 1: 3.0}] * 3):
        found = clone(clf).set_params(class_weight=wish).fit(X, LABELS)
        np.testing.assert_allclose(found.coefs_[0], wanted.coefs_[0], rtol=1e-9)
    # A label may count more than another one.
    first = clone(clf).set_params(class_weight=[{0: 3.0, 1: 3.0}, None, None])
    assert not np.allclose(first.fit(X, LABELS).coefs_[0], wanted.coefs_[0])


def test_validation_is_weighted_where_its_rows_are_those_of_the_fit():
    clf = DNNClassifier((6,), class_weight="balanced", **FEW)
    clf.fit(X, LABELS, X_val=X, y_val=LABELS)
    p = clf.predict_proba(X)
    wanted = np.mean([log_loss(t, q) for t, q in zip(LABELS.T, p.T)])
    assert clf.validation_loss_curve_[-1] == pytest.approx(wanted, rel=1e-9)
    fit = clone(clf).set_params(early_stopping=True, n_iter_no_change=9)
    given = clone(fit).fit(X, LABELS, X_val=X, y_val=LABELS)
    assert fit.fit(X, LABELS).validation_loss_curve_ != given.validation_loss_curve_


def test_weights_of_a_fit_that_goes_on():
    clf = DNNClassifier((6,), class_weight="balanced", warm_start=True, **FEW)
    assert clf.fit(X, LABELS).fit(X, LABELS).n_iter_ == 6
    weights = clf._head.label_weights
    with pytest.raises(ValueError, match="leaves no weight to any label"):
        clf.set_params(class_weight=[{0: 0.0, 1: 0.0}] * 3).fit(X, LABELS)
    assert clf._head.label_weights is weights
    with pytest.raises(ValueError, match="set warm_start=False, or the former param"):
        clf.set_params(class_weight=None).fit(X, LABELS)
    clf.set_params(warm_start=False).fit(X, LABELS)
    assert clf._head.label_weights is None


def test_a_loss_of_one_s_own_has_to_tell_labels_apart():
    @loss
    def joint(raw, y, share=1.0):
        return ops.reduce_mean(per_example.sigmoid_cross_entropy(raw, y), [1]) * share

    clf = DNNClassifier((6,), loss=joint(), max_iter=1).fit(X, LABELS)
    told = r"loss joint returns one number for each row, .*one for each label, .*B,3\]"
    with pytest.raises(ValueError, match=told):
        clf.set_params(class_weight="balanced").fit(X, LABELS)
