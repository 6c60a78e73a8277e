"""What estimators of tables show of their columns."""

from __future__ import annotations

from slimlearn.estimators.compat import add_html

__all__ = ["Shown"]


class Shown:
    """The part of an estimator of tables that tells what it learned of columns."""

    @property
    def columns_(self):
        """What was learned of X's columns: a list of dicts, printed as a table."""
        try:
            return self.__dict__["encoder_"].columns_
        except KeyError:
            raise AttributeError(f"{type(self).__name__} is not fitted") from None

    def __sklearn_is_fitted__(self) -> bool:
        return "members_" in self.__dict__

    def _get_params_html(self, *arguments, **keywords):
        shown = super()._get_params_html(*arguments, **keywords)
        return add_html(shown, self._columns_html)

    def _columns_html(self) -> str:
        if not self.__sklearn_is_fitted__():
            return ""
        return (
            '<div class="estimator-table"><details><summary>Columns</summary>'
            f"{self.columns_._repr_html_()}</details></div>"
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
