"""The pages as a whole: they build without a warning, and a browser finds its way."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from sklearn.base import BaseEstimator

import slimlearn
from slimlearn.estimators.diagram import PAGES

ROOT = Path(__file__).resolve().parents[2]
ESTIMATORS = [
    value
    for value in map(partial(getattr, slimlearn), slimlearn.__all__)
    if isinstance(value, type)
    and issubclass(value, BaseEstimator)
    and hasattr(value, "fit")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages, built once for all processes; what their code prints is left out."""
    for name in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme"):
        pytest.importorskip(name, reason=f"{name} is missing: pip install --group docs")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers
    folder = shared / "site"
    with open(shared / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            (folder / "done").touch()
    return folder


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--quiet", "--keep-going"]
    command += ["--fail-on-warning", "-D", "nb_execution_mode=off"]
    # What is not run has no kernel to name its language.
    command += ["-D", "suppress_warnings=myst-nb.lexer", str(ROOT / "docs")]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Page(HTMLParser):
    """The places and the links of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.add(found.get("id", ""))
        self.links += [found[name] for name in ("href", "src") if found.get(name)]


def test_every_internal_link_leads_somewhere(site):
    pages = {
        path: Page(path.read_text())
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    }
    assert len(pages) > 30
    lost = []
    for path, page in pages.items():
        for link in page.links:
            address, place = urldefrag(urljoin(path.as_uri(), link))
            if not address.startswith(site.as_uri()):
                continue
            target = Path(unquote(address.partition("?")[0].removeprefix("file://")))
            known = target not in pages or not place or place in pages[target].places
            if not (target.exists() and known):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert not lost


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_the_question_mark_of_a_diagram_leads_to_the_estimator_s_page(site, estimator):
    inner = {"net", "estimator"} & set(estimator._get_param_names())
    html = estimator(**dict.fromkeys(inner, slimlearn.DNNClassifier()))._repr_html_()
    page = f"reference/slimlearn.{estimator.__name__}.html"
    assert f'href="{PAGES}/{page}"' in html
    name = f"slimlearn.{estimator.__name__}"
    places = Page((site / page).read_text()).places
    assert {name, f"{name}.fit"} <= places


def is_one(module: ModuleType, name: str, other: str) -> bool:
    return getattr(module, name) is getattr(module, other)


def test_everything_public_has_a_place(site):
    """Whatever `__all__` names stands in the index that search and links go by."""
    places = set().union(
        *(Page(path.read_text()).places for path in site.glob("reference/*.html"))
    )
    for name in slimlearn.__all__:
        value = getattr(slimlearn, name)
        if isinstance(value, ModuleType):
            for inner in value.__all__:
                if not callable(getattr(value, inner)):
                    continue
                aliases = {n for n in value.__all__ if is_one(value, n, inner)}
                named = {f"slimlearn.{name}.{alias}" for alias in aliases}
                assert (named | {f"slimlearn.{inner}"}) & places, inner
        else:
            assert f"slimlearn.{name}" in places


def browse(address: str) -> str:
    """Return a page as it is once its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no browser: apt-get install chromium")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=20000", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def served(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_browser_s_search_finds_an_estimator(served):
    found = Page(browse(f"{served}/search.html?q=DNNClassifier"))
    targets = {urldefrag(link)[0].partition("?")[0] for link in found.links}
    assert "reference/slimlearn.DNNClassifier.html" in targets
    nothing = Page(browse(f"{served}/search.html?q=xyzzyplugh"))
    assert not [link for link in nothing.links if "xyzzyplugh" in link]
