"""Sources of one kernel, for tests of the drivers."""

MARK = 'extern "C" __global__ void __launch_bounds__({}) k0('


def kernel(body: str, types: str, threads: int = 1024, before: str = "") -> str:
    """A kernel of arrays x0, x1 … of these C types."""
    members = "".join(f" {t}* x{i};" for i, t in enumerate(types.split(",")))
    names = "".join(f" auto* x{i} = a.x{i};" for i in range(len(types.split(","))))
    start = MARK.format(threads)
    return f"struct A {{{members} }};\n{before}{start}A a) {{{names}\n{body}\n}}\n"
