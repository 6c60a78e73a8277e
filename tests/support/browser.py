"""A browser without a window: opens an address and runs scripts in its page."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

# Texts and names of nodes of the whole page, inside shadow roots too.
TEXT = """
(() => {
  const found = [];
  const walk = root => {
    for (const node of root.childNodes) {
      if (node.nodeType === 3 && node.data.trim()) found.push(node.data.trim());
      if (node.dataset && node.dataset.name) found.push('node:' + node.dataset.name);
      if (node.shadowRoot) walk(node.shadowRoot);
      walk(node);
    }
  };
  walk(document);
  return found.join('\\n');
})()
"""


class Browser:
    """Chromium, spoken to through a pipe."""

    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            pytest.skip("no browser: apt-get install chromium")
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        given, self._to = os.pipe()
        self._from, taken = os.pipe()
        command = [program, "--headless", "--no-sandbox", "--disable-gpu"]
        command += ["--remote-debugging-pipe", "--no-first-run", "--disable-sync"]
        command += ["--window-size=1400,1000", "--disable-background-networking"]
        command += [f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{given} 4>&{taken}', *command],
            pass_fds=(given, taken),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(given)
        os.close(taken)
        self._rest, self._number = b"", 0
        [target] = [
            one["targetId"]
            for one in self._ask("Target.getTargets")["targetInfos"]
            if one["type"] == "page"
        ]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def _ask(self, method, session=None, **params):
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        if session is not None:
            asked["sessionId"] = session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                data = os.read(self._from, 2**16)
                assert data, "the browser has ended"
                self._rest += data
            message, _, self._rest = self._rest.partition(b"\0")
            told = json.loads(message)
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]

    def open(self, address):
        self._ask("Page.navigate", self._session, url=address)

    def run(self, script):
        """Return what a script gives."""
        found = self._ask(
            "Runtime.evaluate", self._session, expression=script, returnByValue=True
        )
        return found["result"].get("value")

    def wait_for(self, *words, seconds=60, script=TEXT):
        """Return the texts of the page, once all words are among them."""
        end = time.monotonic() + seconds
        while True:
            text = self.run(script) or ""
            lost = [word for word in words if word not in text]
            if not lost:
                return text
            assert time.monotonic() < end, f"{lost} are not in the page:\n{text[:3000]}"
            time.sleep(0.3)
