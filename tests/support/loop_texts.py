"""Texts with loops, and changes that make them no programs."""

SCAN = """\
slim 1
param %w : f32[3]

func f {
  %x = input(source="x") : f32[4,3]
  %h = input(source="h") : f32[3]
  %n = input(source="n") : i32[]
  %last, %all = scan(%h, %x, %w, axes=[0, 0], carried=1, counted=false, \
length="4", recompute=false, reverse=false, scanned=1) {
    (%a : f32[3], %b : f32[3], %c : f32[3])
    %d = mul(%a, %c) : f32[3]
    %e = add(%d, %b) : f32[3]
    yield %e, %a
  } : f32[3], f32[4,3]
  return %last, %all
}
"""

WHILE = """\
slim 1

func f {
  %x = input(source="x") : f32[3]
  %n = input(source="n") : i32[]
  %last, %all, %count = while_loop(%x, carried=1, maximum=4, recompute=false) {
    (%a : f32[3])
    %b = reduce_max(%a, axes=[0], keepdims=false) : f32[]
    %c = constant(value=9.0) : f32[]
    %d = less(%b, %c) : bool[]
    yield %d
  } {
    (%a : f32[3])
    %b = add(%a, %a) : f32[3]
    yield %b, %a
  } : f32[3], f32[4,3], i32[]
  return %last, %all
}
"""

# Of which text, what is replaced, by what, and the refusal.
MALFORMED = {
    "carries too many": (SCAN, "carried=1", "carried=3", "carried is 3"),
    "carries less than none": (SCAN, "carried=1", "carried=-1", "carried is -1"),
    "scans too many": (SCAN, "scanned=1", "scanned=3", "scanned is 3"),
    "an axis too few": (SCAN, "axes=[0, 0]", "axes=[0]", "needs an axis for each"),
    "axes that are no whole numbers": (
        SCAN,
        "axes=[0, 0]",
        "axes=[0.5, 0.5]",
        "an axis for",
    ),
    "an axis that is not there": (SCAN, "axes=[0, 0]", "axes=[2, 0]", "no axis 2"),
    "an axis below 0": (SCAN, "axes=[0, 0]", "axes=[-1, 0]", "no axis -1"),
    "stacked where no axis is": (SCAN, "axes=[0, 0]", "axes=[0, 2]", "axis 2"),
    "another length": (SCAN, 'length="4"', 'length="5"', "needs the length 5"),
    "no length": (SCAN, 'length="4"', 'length="4+"', "length"),
    "a length below 0": (SCAN, 'length="4"', 'length="-4"', "length"),
    "no count": (SCAN, "counted=false", "counted=true", "the number of steps"),
    "a declaration": (SCAN, "mul(%a, %c)", "mul(%a, %w)", "%w is used before"),
    "a parameter too few": (SCAN, ", %c : f32[3])", ")", "is used before"),
    "another parameter": (SCAN, "(%a : f32[3]", "(%a : f32[4]", "f32[4]"),
    "a carried value of another shape": (
        SCAN,
        "yield %e, %a\n  } : f32[3]",
        "%s = slice(%e, axis=0, start=0, stop=2) : f32[2]\n    yield %s, %a\n"
        "  } : f32[2]",
        "carried value 0",
    ),
    "a result too few": (
        SCAN,
        "  } : f32[3], f32[4,3]",
        "  } : f32[3]",
        "2 results, but 1 types",
    ),
    "other results": (SCAN, "  } : f32[3], f32[4,3]", "  } : f32[3], f32[4,4]", "not"),
    "an input": (
        SCAN,
        "%d = mul(%a, %c)",
        '%d = input(source="d")',
        "inputs are read outside",
    ),
    "two regions": (SCAN, "  } : f32[3],", "  } {\n  } : f32[3],", "scan has 1 region"),
    "nothing carried": (WHILE, "carried=1", "carried=0", "carries nothing"),
    "no bound for what is stacked": (WHILE, "maximum=4", "maximum=0", "maximum is 0"),
    "a bound below 0": (WHILE, "maximum=4", "maximum=-1", "maximum is -1"),
    "a bound beyond counting": (WHILE, "maximum=4", "maximum=2147483648", "maximum"),
    "stacks of another length": (WHILE, "maximum=4", "maximum=5", "not"),
    "a condition of another type": (WHILE, "yield %d", "yield %b", "the condition"),
    "a condition of two values": (WHILE, "yield %d", "yield %d, %d", "the condition"),
    "a count of another type": (WHILE, "f32[4,3], i32[]", "f32[4,3], i64[]", "i32[]"),
}
