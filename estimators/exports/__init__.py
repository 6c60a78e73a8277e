"""Fitted models as files of C: what is computed for a row, and what a file offers."""

from slimlearn.estimators.exports.doors import Exportable, ExportedC, export_c

__all__ = ["Exportable", "ExportedC", "export_c"]
