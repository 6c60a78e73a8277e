"""Files for TensorBoard, as its own reader and the fit itself tell of them."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
from joblib import parallel_backend
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from support.disk import largest_file

import slimlearn
from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LazyAdam,
    LinearClassifier,
    NetworkClassifier,
    Seq2Seq,
    SequenceClassifier,
    SequenceTagger,
    layers,
    ops,
)
from slimlearn.callbacks import (
    Callback,
    Checkpoint,
    EpochScoring,
    FitStopped,
    HParams,
    ParamFreezer,
    TensorBoard,
)
from slimlearn.estimators.tensorboard.messages import bars
from slimlearn.estimators.tensorboard.records import crc32c
from slimlearn.tensorboard import Writer, log_search

reading = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="the tensorboard extra is not installed",
)

X, Y = load_digits(return_X_y=True)
X, Y = X[:300].astype(np.float32), Y[:300]

LOSS = "loss/training"


def read(folder):
    sizes = reading.STORE_EVERYTHING_SIZE_GUIDANCE
    return reading.EventAccumulator(str(folder), sizes).Reload()


def array_of(event):
    from tensorboard.util import tensor_util

    return tensor_util.make_ndarray(event.tensor_proto)


def curve(events, tag):
    return [float(array_of(event)) for event in events.Tensors(tag)]


def test_checksums():
    assert crc32c(b"123456789") == 0xE3069283
    data = np.random.default_rng(0).integers(0, 256, 70_001, np.uint8).tobytes()
    whole = crc32c(data)
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as other

    assert whole == other(data)


def test_bars_hold_all_numbers():
    for values in (np.random.default_rng(0).normal(size=5000).astype("f"), X, X[:1]):
        found = bars(values)
        assert found[:, 2].sum() == values.size
        assert found[0, 0] == values.min() and found[-1, 1] == values.max()
    assert bars(np.array([1.0, np.nan, np.inf]))[:, 2].sum() == 1
    assert bars(np.zeros(0)).shape == (0, 3) and len(bars(np.full(9, 2.0))) == 1
    assert bars(np.array([-1e308, 1e308]))[:, 2].sum() == 2


def test_a_fit(tmp_path):
    board = TensorBoard(tmp_path, histograms=2, images="filters", pr_curves=True)
    scoring = EpochScoring("f1_macro", name="f1")
    clf = DNNClassifier(
        (16, 8), max_iter=5, batch_norm=True, dropout=0.1, early_stopping=True
    )
    clf.set_params(callbacks=[board, scoring], random_state=0).fit(X, Y)
    plain = clone(clf).set_params(callbacks=[EpochScoring("f1_macro", name="f1")])
    assert plain.fit(X, Y).loss_curve_ == clf.loss_curve_  # watching changes nothing
    events = read(tmp_path)
    np.testing.assert_allclose(curve(events, "loss/training"), clf.loss_curve_, 1e-6)
    validation = curve(events, "loss/validation")
    np.testing.assert_allclose(validation, clf.validation_loss_curve_, 1e-6)
    assert len(curve(events, "f1")) == len(curve(events, "learning_rate")) == 5
    assert [e.step for e in events.Tensors("loss/training")] == [1, 2, 3, 4, 5]
    weights = events.Tensors("weights/fc1/weights")
    assert [event.step for event in weights] == [2, 4, 5]
    assert array_of(weights[0])[:, 2].sum() == 64 * 16
    gradients = array_of(events.Tensors("gradients/fc1/weights")[-1])
    assert gradients[:, 2].sum() == 64 * 16 and gradients[0, 0] < 0 < gradients[-1, 1]
    width, height, picture = array_of(events.Tensors("filters")[0])
    assert picture.startswith(b"\x89PNG") and int(width) == int(height) == 36
    curves = [tag for tag in events.Tags()["tensors"] if tag.startswith("validation/")]
    assert len(curves) == 10
    tp, fp, tn, fn, *_ = array_of(events.Tensors(curves[0])[0])
    assert (tp + fp + tn + fn == 30).all()


def test_the_graph_and_its_times(tmp_path):
    def net(x):
        h, _ = ops.scan(
            lambda h, one: (layers.fully_connected(h + one, 8, scope="cell"), None),
            layers.fully_connected(x, 8),
            ops.reshape(x, (-1, 8, 8)),
            axis=1,
        )
        return h

    board = TensorBoard(tmp_path)
    NetworkClassifier(net, max_iter=2, callbacks=[board], random_state=0).fit(X, Y)
    events = read(tmp_path)
    nodes = {node.name: node for node in events.Graph().node}
    matmul = nodes["fully_connected/matmul"]
    assert matmul.op == "MatMul" and list(matmul.input) == [
        "X",
        "fully_connected/weights",
    ]
    shape = matmul.attr["_output_shapes"].list.shape[0]
    assert [dim.size for dim in shape.dim] == [-1, 8] and "CPU" in matmul.device
    assert nodes["X"].op == "Placeholder" and nodes["cell/weights"].op == "VariableV2"
    assert any(name.startswith("gradients/") for name in nodes)
    assert any(name.startswith("scan/step/cell/") for name in nodes)
    for node in nodes.values():
        for name in node.input:
            assert name.partition(":")[0] in nodes
    assert events.Tags()["run_metadata"] == ["epoch_1"]
    [device] = events.RunMetadata("epoch_1").step_stats.dev_stats
    timed = {stats.node_name for stats in device.node_stats}
    assert len(timed & nodes.keys()) > 5
    assert all(stats.all_end_rel_micros > 0 for stats in device.node_stats)


FITS = {
    "lbfgs": lambda t: LinearClassifier(max_iter=2, callbacks=[t]).fit(X, Y),
    "chunks": lambda t: DNNClassifier((4,), max_iter=2, callbacks=[t]).fit_chunks(
        [(X, Y), (X, Y)]
    ),
    "rows": lambda t: LinearClassifier(
        optimizer=LazyAdam(), max_iter=2, callbacks=[t]
    ).fit(csr_array(X), Y),
    "lists": lambda t: SequenceClassifier(max_iter=2, callbacks=[t]).fit(
        [row[: 20 + i % 9, None] for i, row in enumerate(X)], Y
    ),
    "frozen": lambda t: DNNClassifier(
        (4,), max_iter=2, callbacks=[ParamFreezer("fc1*"), t]
    ).fit(X, Y),
}


@pytest.mark.filterwarnings("ignore:.*without converging")
@pytest.mark.parametrize("name", FITS)
def test_fits_of_every_kind(name, tmp_path):
    FITS[name](TensorBoard(tmp_path, histograms=True))
    events = read(tmp_path)
    assert [e.step for e in events.Tensors("loss/training")] == [1, 2]
    tags = events.Tags()["tensors"]
    assert any(tag.startswith("weights/") for tag in tags)
    assert any(tag.startswith("gradients/") for tag in tags) == (name != "rows")
    assert ("gradients/fc1/weights" in tags) == (name == "chunks")


def test_every_kind_of_event(tmp_path):
    with Writer(tmp_path) as writer:
        writer.scalar("one", 2.5, step=3)
        writer.text("words", "**bold**", step=1)
        writer.audio("sound", np.sin(np.arange(800) / 9), step=1, rate=8000)
        writer.image("pictures", np.zeros((4, 6, 5, 3), np.uint8), step=1)
        writer.image("large", np.random.default_rng(0).random((500, 500)), step=1)
        writer.pr_curve("pr", [True, False], [0.9, 0.2], step=1)
        writer.embedding("words", np.eye(3), ["a", "b\tc", "d"])
        matplotlib = pytest.importorskip("matplotlib.figure")
        figure = matplotlib.Figure()
        figure.subplots().plot([1, 2])
        writer.image("figure", figure, step=1)
        writer.flush()
        assert len(curve(read(tmp_path), "one")) == 1
    events = read(tmp_path)
    assert curve(events, "one") == [2.5] and events.Tensors("one")[0].step == 3
    assert array_of(events.Tensors("words")[0]) == b"**bold**"
    assert array_of(events.Tensors("sound")[0])[0, 0][:4] == b"RIFF"
    assert array_of(events.Tensors("pictures")[0])[:2].tolist() == [b"5", b"6"]
    assert len(array_of(events.Tensors("pictures")[0])) == 6
    assert array_of(events.Tensors("figure")[0])[2].startswith(b"\x89PNG")
    assert (tmp_path / "words_labels.tsv").read_text() == "a\nb c\nd\n"
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "words.tsv"' in config


def test_searches(tmp_path):
    clf = DNNClassifier((4,), max_iter=2, random_state=0)
    grid = {"hidden_units": [(4,), (8,)], "dropout": [0.0, 0.2]}
    clf.set_params(callbacks=[HParams(tmp_path / "live", ["hidden_units", "dropout"])])
    search = GridSearchCV(clf, grid, cv=2).fit(X, Y)
    live = list((tmp_path / "live").rglob("events*"))
    assert len(live) == 4 * 2 + 1 and len({p.parent.parent for p in live}) == 4
    assert log_search(search, tmp_path / "after") == 8
    events = read(tmp_path / "after/candidate002/fold1")
    [score] = curve(events, "test_score")
    assert score == pytest.approx(search.cv_results_["split1_test_score"][2])
    tags = set(events.Tags()["tensors"])
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= tags
    with pytest.raises(ValueError, match=r"another search.*another log_dir"):
        log_search(search, tmp_path / "after")


# -- what goes wrong ------------------------------------------------------------------


def test_a_folder_used_twice(tmp_path):
    clf = DNNClassifier((4,), max_iter=2, callbacks=[TensorBoard(tmp_path / "a")])
    clf.fit(X, Y)
    with pytest.raises(ValueError, match=r"another fit.*\{time\} or \{fit\}.*delete"):
        clf.fit(X, Y)
    assert clf.n_iter_ == 2  # the former fit stays
    clf.set_params(warm_start=True).fit(X, Y)  # goes on from it
    assert [e.step for e in read(tmp_path / "a").Tensors("loss/training")] == [
        *range(1, 5)
    ]
    clf.set_params(callbacks=[TensorBoard(tmp_path / "{fit}")], warm_start=False)
    with parallel_backend("threading", n_jobs=2):
        GridSearchCV(clf, {"dropout": [0.0, 0.1]}, cv=2).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 1 + 5


class Fill(Callback):
    """Does something after the second epoch, and gives the writer time to meet it."""

    def __init__(self, act):
        self.act = act

    def on_epoch_end(self, state):
        if state.epoch == 2:
            self.act()
        board = state.callbacks["tensorboard"]
        if state.epoch > 2:
            with suppress(OSError):
                board.writer.flush()


@pytest.mark.parametrize("how", ["full", "gone"])
def test_a_disk_that_fails_keeps_the_epochs(how, tmp_path):
    folder = tmp_path / "run"
    board = TensorBoard(folder, histograms=True)
    full = largest_file(4096)
    act = full.__enter__ if how == "full" else lambda: shutil.rmtree(folder)
    clf = DNNClassifier((8,), max_iter=50, random_state=0)
    clf.set_params(callbacks=[Fill(act), board])
    try:
        with pytest.raises(FitStopped, match=r"TensorBoard could not write .*keeps"):
            clf.fit(X, Y)
    finally:
        if how == "full":
            full.__exit__(None, None, None)
    assert 2 <= clf.n_iter_ < 50 and len(clf.predict(X)) == len(X)
    assert threading.active_count() < 10


def test_a_place_that_is_none(tmp_path):
    (tmp_path / "file").touch()
    clf = DNNClassifier(callbacks=[TensorBoard(tmp_path / "file" / "run")])
    with pytest.raises(FitStopped, match="TensorBoard could not write"):
        clf.fit(X, Y)
    assert "program_" not in vars(clf)


WRONG = {
    "histograms is True": {"histograms": "yes"},
    "images is 'filters', a function": {"images": "all"},
    "is no table of weights; there are": {"embeddings": "fc9/weights"},
    "there are no validation rows": {"pr_curves": True},
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused_before_the_fit(text, tmp_path):
    clf = DNNClassifier(callbacks=[TensorBoard(tmp_path / "a", **WRONG[text])])
    with pytest.raises(ValueError, match=text):
        clf.fit(X, Y)
    assert not (tmp_path / "a").exists()


def test_more_that_is_refused(tmp_path):
    def fit(est, **params):
        est.set_params(callbacks=[TensorBoard(tmp_path / "a", **params)]).fit(X, Y)

    with pytest.raises(ValueError, match="needs a classifier with probabilities"):
        fit(DNNRegressor(early_stopping=True), pr_curves=True)
    with pytest.raises(ValueError, match="returns a dict of pictures"):
        fit(DNNRegressor(max_iter=1), images=lambda state: X)
    with pytest.raises(ValueError, match="pictures by name; got int"):
        board = TensorBoard(tmp_path / "i", images=lambda state: {3: np.eye(4)})
        DNNClassifier(max_iter=1, callbacks=[board]).fit(X, Y)
    with pytest.raises(AttributeError, match="while a fit runs"):
        _ = TensorBoard("a").writer
    for given in (["hiden"], "hiden"):
        clf = DNNClassifier(callbacks=[HParams(tmp_path / "b", given)])
        told = r"\['hiden'\] are no param.*hidden_units"
        with pytest.raises(ValueError, match=told):
            clf.fit(X, Y)
    with Writer(tmp_path / "c") as writer:
        with pytest.raises(ValueError, match="height×width"):
            writer.image("a", np.zeros(3), 1)
        with pytest.raises(ValueError, match="scores from 0 to 1"):
            writer.pr_curve("a", [True], [3.0], 1)
        with pytest.raises(ValueError, match="2 labels, 3 vectors"):
            writer.embedding("a", np.eye(3), "ab")
    with pytest.raises(ValueError, match="is closed"):
        writer.scalar("a", 1, 1)


def test_fits_of_one_second_have_folders_of_their_own(tmp_path):
    folder = f"{tmp_path}/{{time}}"
    clf = DNNClassifier((4,), max_iter=1, callbacks=[TensorBoard(folder, graph=False)])
    grid = GridSearchCV(clf, {"dropout": [0.0, 0.1]}, cv=2, error_score="raise")
    grid.fit(X, Y)
    runs = list(tmp_path.iterdir())
    assert len(runs) == 5
    assert {len(list(run.iterdir())) for run in runs} == {1}


def test_curves_of_steps_are_refused_before_the_fit(tmp_path):
    x = [np.eye(3)[: 1 + i % 3] for i in range(20)]
    board = TensorBoard(tmp_path, pr_curves=True)
    common = {"max_iter": 1, "early_stopping": True, "callbacks": [board]}
    tagger, texts = SequenceTagger(units=4, **common), Seq2Seq(units=4, **common)
    with pytest.raises(ValueError, match="SequenceTagger gives one for each step"):
        tagger.fit(x, [np.arange(len(steps)) for steps in x])
    with pytest.raises(ValueError, match="Seq2Seq gives one for each step"):
        texts.fit(["ab", "b"] * 10, ["ba", "b"] * 10)


def test_scores_of_any_name_are_in_the_table(tmp_path):
    scoring = {"f1 (macro)": "f1_macro", "neg-loss": "neg_log_loss"}
    clf = DNNClassifier((4,), max_iter=1)
    search = GridSearchCV(clf, {"dropout": [0.0]}, cv=2, scoring=scoring, refit=False)
    assert log_search(search.fit(X, Y), tmp_path) == 2
    tags = read(tmp_path / "candidate000" / "fold1").Tags()["tensors"]
    assert {"test_f1 (macro)", "test_neg-loss"} <= set(tags)


def test_copies_and_pickles(tmp_path):
    folder = f"{tmp_path}/{{fit}}"
    clf = DNNClassifier((4,), max_iter=1, callbacks=[TensorBoard(folder)])
    clf.fit(X, Y)
    again = pickle.loads(pickle.dumps(clf))
    assert again.callbacks_[0][1].log_dir_.startswith(str(tmp_path))
    clf.save(tmp_path / "model.slim")
    loaded = slimlearn.load(tmp_path / "model.slim")
    assert loaded.callbacks_[0][1].log_dir_ == again.callbacks_[0][1].log_dir_
    assert clone(clf).callbacks[0].log_dir == folder
    assert slimlearn.tensorboard.Writer is Writer


ENDS = """
import threading, time, numpy as np
from slimlearn import DNNClassifier
from slimlearn.callbacks import TensorBoard
clf = DNNClassifier(max_iter=100_000, callbacks=[TensorBoard({folder!r})])
data = np.eye(60), np.arange(60) % 2
threading.Thread(target=clf.fit, args=data, daemon=True).start()
time.sleep(1)
"""
MISSING = """
import sys
sys.modules["tensorboard"] = None
from slimlearn.tensorboard import Writer
try:
    Writer({folder!r})
except ImportError as error:
    print(error)
"""


def run(script, folder):
    command = [sys.executable, "-c", script.format(folder=str(folder))]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_end_of_the_process_waits_for_nobody(tmp_path):
    done = run(ENDS, tmp_path / "a")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert read(tmp_path / "a").Tags()["tensors"]


def test_without_the_extra(tmp_path):
    done = run(MISSING, tmp_path / "a")
    assert 'pip install "slimlearn[tensorboard]"' in done.stdout, done.stderr
    assert not os.path.exists(tmp_path / "a")


class FailsOnce(Callback):
    def __init__(self, hook, failed):
        self.hook, self.failed = hook, failed

    def _fail(self, hook):
        if hook == self.hook and not self.failed.exists():
            self.failed.touch()
            raise RuntimeError("once")

    def on_fit_begin(self, state):
        self._fail("begin")

    def on_step_end(self, state):
        self._fail("step")


class Last(FailsOnce):
    last = 3


@pytest.mark.parametrize("kind, hook", [(Last, "begin"), (FailsOnce, "step")])
def test_a_fit_that_fails_before_an_epoch_leaves_no_run(tmp_path, kind, hook):
    run, failed = tmp_path / "run", tmp_path / "failed"
    board = [TensorBoard(run, graph=False), kind(hook, failed)]
    net = DNNClassifier((4,), max_iter=2, callbacks=board, random_state=0)
    with pytest.raises(RuntimeError, match="once"):
        net.fit(X, Y)
    assert os.listdir(run) == []
    net.fit(X, Y)
    assert len(curve(read(run), LOSS)) == 2
    with pytest.raises(ValueError, match="has the events of another fit"):
        net.fit(X, Y)


@pytest.mark.parametrize("order", [1, -1])
def test_a_fit_that_goes_on_adds_to_its_run_in_any_order(tmp_path, order):
    board = [TensorBoard(tmp_path / "run"), Checkpoint(tmp_path / "files", "f.slim")]
    net = DNNClassifier((4,), max_iter=2, random_state=0, callbacks=board[::order])
    net.fit(X, Y)
    net.set_params(max_iter=5).fit(X, Y)
    steps = [event.step for event in read(tmp_path / "run").Tensors(LOSS)]
    assert steps == [1, 2, 3, 4, 5]
