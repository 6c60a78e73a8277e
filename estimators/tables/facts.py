"""What was learned of columns, to be looked at."""

from __future__ import annotations

from html import escape

__all__ = ["Facts"]


class Facts(list):
    """What was learned of a table's columns, as dicts; printed as a table."""

    _heads = ("column", "kind", "missing", "distinct", "features")

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(row["column"]),
                row["kind"],
                f"{row['missing']:.1%}" if row["missing"] else "",
                "" if row["distinct"] is None else f"{row['distinct']:,}",
                row["features"],
            )
            for row in self
        ]

    def __str__(self) -> str:
        rows = [self._heads, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join(
                (
                    *(row[i].ljust(widths[i]) for i in (0, 1)),
                    *(row[i].rjust(widths[i]) for i in (2, 3)),
                    row[4],
                )
            ).rstrip()
            for row in rows
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{head}</th>" for head in self._heads)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
            for row in self._rows()
        )
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
