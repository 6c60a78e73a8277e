"""Scikit-learn's diagrams of estimators: the layers once fitted, and the "?" link."""

from __future__ import annotations

from html import escape

from slimlearn.estimators.compat import PARAMETERS_IN_DIAGRAMS, VisualBlock, add_html
from slimlearn.estimators.tensors import table

__all__ = ["PAGES", "Diagram", "Linked"]

# Where the pages of `make docs` stand; pyproject.toml says the same.
PAGES = "https://slimlearn.github.io/slimlearn"

# In the classes of scikit-learn's table of parameters, which its style sheet knows.
_TABLE = """
<div class="estimator-table">
  <details>
    <summary>Layers</summary>
    <table class="parameters-table">
      <tbody>
        <tr><th>Layer</th><th>Output, N rows</th><th>Parameters</th></tr>
        {rows}
      </tbody>
    </table>
  </details>
</div>
"""
_ROW = '<tr class="default"><td class="param">{}</td><td>{}</td><td>{}</td></tr>'


class Linked:
    """The "?" leads to the estimator's page."""

    _doc_link_module = "slimlearn"
    _doc_link_template = f"{PAGES}/reference/slimlearn.{{estimator_name}}.html"


class Diagram(Linked):
    """Shows the layers under the parameters, once an estimator is fitted."""

    def _get_params_html(self, *arguments, **keywords):
        shown = super()._get_params_html(*arguments, **keywords)
        return add_html(shown, self._layers_html)

    def _layers_html(self) -> str:
        if not self.__sklearn_is_fitted__():
            return ""
        rows = [_ROW.format(*map(escape, row)) for row in table(self.program_)]
        return _TABLE.format(rows="\n        ".join(rows))

    if not PARAMETERS_IN_DIAGRAMS:

        def _sk_visual_block_(self):
            text = str(self)
            if self.__sklearn_is_fitted__():
                text = f"{text}\n\n{self.summary()}"
            name = type(self).__name__
            return VisualBlock("single", self, names=name, name_details=text)
