"""Programs as one file of C99 and its header: no allocation, no files, libm alone.

`fixing.py` fixes sizes and computes what weights alone decide; `writing.py` walks over
what the compiler's passes make of it, with a small function for each family of ops
(`products.py`, `windows.py`, `rows.py`, `moving.py`, `loops.py`); formulas of elements
are printed by the engine; `quantize.py` makes weights integers; `pages.py` puts the
file together.
"""

from slimlearn.backend.export_c import (  # noqa: F401
    loops,
    moving,
    products,
    rows,
    windows,
)
from slimlearn.backend.export_c.errors import NotExportable
from slimlearn.backend.export_c.fixing import fixed, make_dense
from slimlearn.backend.export_c.names import is_identifier
from slimlearn.backend.export_c.network import Network
from slimlearn.backend.export_c.pages import Pages, Wish, write_c
from slimlearn.backend.export_c.quantize import quantize, run_rows, with_integers

__all__ = [
    "Network",
    "NotExportable",
    "Pages",
    "Wish",
    "fixed",
    "is_identifier",
    "make_dense",
    "quantize",
    "run_rows",
    "with_integers",
    "write_c",
]
