"""Compiled programs and their cache: rebuilt from text, so pickles hold text only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from slimlearn.backend.arena import allocate
from slimlearn.backend.cache import Cache, clear_caches
from slimlearn.backend.engine.native import native
from slimlearn.backend.engine.on_gpu import borrow_memory
from slimlearn.backend.engine.replay import explain_status
from slimlearn.backend.engine.trainer import Trainer
from slimlearn.backend.program import Program
from slimlearn.backend.ragged import by_length
from slimlearn.backend.resident import within_reach
from slimlearn.backend.roofline import with_shares

__all__ = ["NativeModel", "clear_cache", "compile"]

_compiled: Cache[NativeModel] = Cache(64)


def compile(
    text: str, isa: str | None = None, device: str = "cpu", lenient: bool = False
) -> NativeModel:
    """Return the compiled program of a text, from the cache where it can.

    Parameters
    ----------
    text : str
        A program.
    isa : str, optional
        An instruction-set level of the CPU; the machine's best by default.
    device : str
        One of `devices`; what the text places on others by name runs there.
    lenient : bool, default=False
        Whether what the text places on a device that is not there runs with the rest,
        as `NativeModel.missing` tells.

    Raises
    ------
    ValueError
        If the text is no valid program, naming the line or the op; or if a device is
        not there.
    """
    borrow_memory()
    key = text, isa or (native.best_isa() if device == "cpu" else device), lenient
    return _compiled.get(key, lambda: NativeModel(text, isa, device, lenient))


def clear_cache() -> None:
    """Give back the memory that is kept between calls to make the next ones faster.

    These are compiled programs, the graphs they were made from, and the idle working
    memory of finished calls, of which a process never keeps more than 256 MiB.
    Everything is made anew when it is needed again; estimators stay as they are.

    Examples
    --------
    >>> import slimlearn
    >>> slimlearn.clear_cache()
    """
    clear_caches()
    native.free_idle()


class NativeModel:
    """A program compiled for one device; made by `compile`.

    Parameters
    ----------
    text : str
    isa : str or None
    device : str
    lenient : bool
    """

    def __init__(
        self,
        text: str,
        isa: str | None = None,
        device: str = "cpu",
        lenient: bool = False,
    ):
        self.text = text
        self._wanted = isa, device, lenient
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the program's text has {text[error.start]!r} at {error.start}, half "
                "a character: read it as UTF-8"
            ) from None
        self.native = native.Model(text, isa or device, lenient)
        # The devices that the text names and that are not there, and why.
        self.missing = self.native.missing
        # Whether its update goes by a learning rate at all.
        self.reads_rate = "learning_rate" in self.native.hypers()

    def __reduce__(self):
        return compile, (self.text, *self._wanted)

    def __repr__(self) -> str:
        return f"<NativeModel for {self.device}, {self.isa}>"

    @property
    def device(self) -> str:
        """The device that runs it; of a program that is on several, the processor."""
        return self.native.device

    @property
    def devices(self) -> list[str]:
        """All devices that run some of it."""
        return self.native.devices

    @property
    def isa(self) -> str:
        """The instruction-set level of its kernels."""
        return self.native.isa

    def chunkable(self, func: str) -> bool:
        """Whether a function may be run over some of the rows at a time."""
        return self.native.chunkable(func)

    def row_size(self, func: str) -> int:
        """Numbers in a row of a function's first result; 1 for axes of any length."""
        return max(self.native.row_size(func), 1)

    def run(
        self,
        func: str,
        sources: dict[str, np.ndarray],
        program: Program,
        *,
        rows: np.ndarray | None = None,
        hypers: dict[str, float] | None = None,
        seed: int = 0,
        step: int = 0,
        n_threads: int | None = 1,
        batch: int | None = None,
        gradient: np.ndarray | None = None,
        room: Callable[[tuple, np.dtype], tuple] | None = None,
    ) -> tuple:
        """Run a function over all rows, in chunks where it treats rows one by one.

        Parameters
        ----------
        func : str
        sources : dict of str to ndarray, CSR matrix, Ragged or Resident
        program : Program
            Its arrays are read, and written by what the function sets.
        rows : int array, optional
            Row numbers; all rows by default.
        hypers : dict of str to float, optional
        seed, step : int
            The random key and counter.
        n_threads : int or None
            None for as many as OpenMP allows.
        batch : int, optional
            Rows of a chunk.
        gradient : ndarray of uint8, optional
            An arena laid out as the parameters, for a function that writes gradients.
        room : callable, optional
            ``room(shape, dtype)`` gives an array on the device and its pointer: results
            are left there. By default they come to the host.

        Returns
        -------
        tuple of ndarray, or of what `room` gave
            Rows of all chunks; sums over rows, which come to the host, are added over
            the chunks.

        Raises
        ------
        ValueError
            For missing sources, wrong shapes, or labels and ids out of range, naming
            the op that met them.
        """
        hypers = hypers or {}
        sources = within_reach(sources, self.device)

        def sums():
            return self.native.adds_up(func) if self.chunkable(func) else None

        def run(sources, rows):
            return self._run(
                func,
                sources,
                program,
                rows,
                hypers,
                seed,
                step,
                n_threads,
                batch,
                gradient,
                room,
            )

        return by_length(sources, rows, sums, run)

    def _run(
        self,
        func,
        sources,
        program,
        rows,
        hypers,
        seed,
        step,
        n_threads,
        batch,
        gradient,
        room,
    ) -> tuple:
        results, status = self.native.run(
            func,
            sources,
            rows,
            program.params,
            program.state,
            gradient,
            hypers,
            seed,
            step,
            n_threads or 0,
            batch or 0,
            self._packed(program),
            room,
        )
        if status:
            in_chunks = self.chunkable(func)
            raise ValueError(
                explain_status(
                    status,
                    program,
                    func,
                    sources,
                    rows,
                    hypers,
                    size=self.native.chunk_rows(func) if in_chunks else None,
                    seed=seed,
                    step=step,
                )
            )
        return results

    def predictor(
        self,
        func: str,
        program: Program,
        sources: Sequence[str] = ("X",),
        *,
        hypers: dict[str, float] | None = None,
        n_threads: int | None = 1,
    ) -> Callable[..., np.ndarray | None]:
        """Return the short road of a function that reads `sources` alone, row by row.

        ``predictor(X)``, or with an array for each source, takes exact ndarrays of
        float32, float64, uint8, int32 or int64, C-contiguous, of shape (rows, ...). It
        returns None for anything else and where a value is not finite: then the long
        road says what is wrong. The program's arrays stay bound: writing to them, until
        the program is sealed, changes predictions, replacing them does not.

        Raises
        ------
        ValueError
            If the function has no short road.
        """
        return native.Predictor(
            self.native,
            func,
            list(sources),
            program.params,
            program.state,
            hypers or {},
            n_threads or 0,
            self._packed(program),
        )

    def trainer(self, program: Program, sources: dict[str, np.ndarray], **options):
        """Return a `Trainer` of the program's arrays; options as there."""
        return Trainer(self, program, within_reach(sources, self.device), **options)

    def info(self, func: str, rows: int, symbols: dict[str, int] | None = None) -> dict:
        """Return facts of the plan for so many rows: launches, arena_bytes, steps.

        `symbols` are the sizes of the function's symbols beside B.
        """
        return self.native.info(func, rows, symbols or {})

    def dump(
        self, func: str, rows: int = 1, symbols: dict[str, int] | None = None
    ) -> str:
        """Return the text of a function as its plan runs it, after all passes."""
        return self.native.dump(func, rows, symbols or {})

    def cache_info(self) -> dict[str, int]:
        """Return how often a plan was found and made, and how many are kept."""
        native = self.native
        counts = {"hits": native.plan_hits, "misses": native.plan_misses}
        return {**counts, "size": native.plan_count}

    def profile(
        self,
        func: str,
        sources: dict[str, np.ndarray],
        program: Program,
        *,
        hypers: dict[str, float] | None = None,
        batch: int | None = None,
        rounds: int = 100,
    ) -> list[dict]:
        """Time each launch of a function on one chunk of rows, on one thread.

        Returns
        -------
        list of dict
            ``name``, ``op``, ``calls`` (in all rounds), ``seconds`` (mean), ``least``,
            ``flops``, ``bytes`` and ``roofline``: the share of the speed that this
            machine could reach.
        """
        gradient = allocate(self.native.param_bytes)
        sources = within_reach(sources, self.device)
        launches = self.native.profile(
            func,
            sources,
            program.params,
            program.state,
            gradient,
            hypers or {},
            batch or 0,
            rounds,
            self._packed(program),
        )
        return self.with_shares(launches)

    def _packed(self, program: Program):
        """What is kept beside a sealed program's arrays; None of one that changes."""
        if not program.sealed:
            return None
        arrays = program.params, program.state
        known = program.packed
        if known is None or known[0] is not arrays[0] or known[1] is not arrays[1]:
            known = program.packed = *arrays, native.PackedArrays()
        return known[2]

    def with_shares(self, launches: list[dict]) -> list[dict]:
        """Return the launches of a profile with their ``roofline``."""
        isa, device, _ = self._wanted
        return with_shares(launches, isa or device, compile)
