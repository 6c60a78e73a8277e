"""What TensorBoard's own server, and a browser before it, make of the files."""

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV
from support.browser import Browser

from slimlearn import DNNClassifier
from slimlearn.callbacks import TensorBoard
from slimlearn.tensorboard import Writer, log_search

pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")

X, Y = load_digits(return_X_y=True)
X, Y = X[:400].astype(np.float32), Y[:400]


class Server:
    def __init__(self, folder):
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
        command += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            if "http://" in line:
                self.address = "http" + line.split("http", 1)[1].split()[0].rstrip("/")
                break
        else:
            raise AssertionError("the server has ended")

    def get(self, path, data=None, **query):
        address = f"{self.address}/data/{path}?{urllib.parse.urlencode(query)}"
        kind = {"Content-Type": "application/json"}
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(address, body, kind)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()

    def json(self, path, data=None, **query):
        return json.loads(self.get(path, data, **query))

    def wait_for_runs(self, count):
        end = time.monotonic() + 60
        while len(self.json("runs")) < count:
            assert time.monotonic() < end, self.json("runs")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    board = TensorBoard(
        folder / "fit", histograms=True, images="filters", pr_curves=True
    )
    clf = DNNClassifier((16, 8), max_iter=4, early_stopping=True, random_state=0)
    clf.set_params(callbacks=[board]).fit(X, Y)
    with Writer(folder / "fit") as writer:
        writer.audio("tone", np.sin(np.arange(4000) / 5), 1, rate=8000)
        writer.text("note", "**seen**", 1)
        writer.embedding("digits", X[:20], Y[:20])
    grid = {"hidden_units": [(4,), (8,)], "dropout": [0.0, 0.2]}
    search = HalvingGridSearchCV(
        DNNClassifier(max_iter=2, random_state=0), grid, cv=2, random_state=0
    ).fit(X, Y)
    count = log_search(search, folder / "search")
    made = Server(folder)
    try:
        made.search = search
        made.wait_for_runs(count + 2)
        yield made
    finally:
        made.process.terminate()
        made.process.communicate()


PLUGINS = ("scalars", "histograms", "distributions", "images", "audio", "text")
PLUGINS += ("graphs", "hparams", "pr_curves", "projector", "timeseries")


def test_every_plugin_is_there(server):
    end = time.monotonic() + 30
    while True:
        listing = server.json("plugins_listing")
        idle = [name for name in PLUGINS if not listing[name]["enabled"]]
        if not idle:
            break
        assert time.monotonic() < end, idle
        time.sleep(0.3)


def test_what_plugins_answer(server):
    def first(path, **query):
        return server.json(f"plugin/{path}", run="fit", **query)

    points = first("scalars/scalars", tag="loss/training")
    assert [step for _, step, _ in points] == [1, 2, 3, 4]
    bars = first("histograms/histograms", tag="weights/fc1/weights")[-1][2]
    assert sum(count for _, _, count in bars) == 64 * 16
    assert first("distributions/distributions", tag="gradients/fc1/weights")
    image = first("images/images", tag="filters", sample=0)[0]
    assert server.get(f"plugin/images/individualImage?{image['query']}&x=")[1:4] == (
        b"PNG"
    )
    sound = first("audio/audio", tag="tone", sample=0)[0]
    assert sound["contentType"] == "audio/wav"
    assert "<strong>seen</strong>" in first("text/text", tag="note")[0]["text"]
    curve = server.json("plugin/pr_curves/pr_curves", run="fit", tag="validation/1")
    assert len(curve["fit"][0]["precision"]) > 20
    info = server.json("plugin/graphs/info")["fit"]
    assert info["run_graph"] and info["tags"]["epoch_1"]["profile"]
    graph = server.get("plugin/graphs/graph", run="fit").decode()
    assert 'name: "fc1/matmul"' in graph and 'op: "MatMul"' in graph
    times = server.get("plugin/graphs/run_metadata", run="fit", tag="epoch_1").decode()
    assert "all_end_rel_micros" in times
    [config] = server.json("plugin/projector/info", run="fit")["embeddings"]
    assert config["tensorName"] == "digits"
    request = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"]}
    experiment = server.json("plugin/hparams/experiment", {"experimentName": ""})
    names = {info["name"] for info in experiment["hparamInfos"]}
    assert names == {"hidden_units", "dropout", "iter", "n_resources"}
    request |= {"startIndex": 0, "sliceSize": 99, "colParams": []}
    request["aggregationType"] = "AGGREGATION_AVG"
    groups = server.json("plugin/hparams/session_groups", request)["sessionGroups"]
    results = server.search.cv_results_
    assert len(groups) == len(results["params"])
    means = {
        metric["name"]["tag"]: metric["value"]
        for metric in groups[0]["metricValues"]
        if metric["name"]["tag"] == "test_score"
    }
    assert means["test_score"] in np.float32(results["mean_test_score"])


def test_a_browser_sees_graph_curves_and_table(server):
    with Browser() as browser:
        browser.open(f"{server.address}/#graphs&run=fit")
        browser.wait_for("node:fc1", "node:logits", "node:gradients")
        browser.open("about:blank")
        browser.open(f"{server.address}/#scalars")
        browser.wait_for("loss/training", "loss/validation", "learning_rate")
        browser.open("about:blank")
        browser.open(f"{server.address}/#hparams")
        browser.wait_for("hidden_units", "dropout", "test_score", "(4,)")
