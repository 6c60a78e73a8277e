"""A text with a cond, and changes that make it no program."""

# What is replaced, by what, and the refusal.
MALFORMED = {
    "no predicate": ("cond(%p, %x)", "cond()", "needs a predicate"),
    "a predicate that is no bool": ("cond(%p,", "cond(%q,", "the predicate is f32[]"),
    "a parameter too few": (
        "cond(%p, %x)",
        "cond(%p, %x, %q)",
        "then takes (f32[B,3])",
    ),
    "a parameter of another type": (
        "(%a : f32[B,3])\n    yield",
        "(%a : f32[3])\n    yield",
        "otherwise takes",
    ),
    "another number of yields": ("yield %a", "yield %a, %a", "otherwise gives (f32"),
    "another type": (
        "%b = neg(%a) : f32[B,3]",
        "%b = cast(%a) : f64[B,3]",
        "then gives",
    ),
    "one region": (
        "  } {\n    (%a : f32[B,3])\n    yield %a\n",
        "",
        "needs two regions",
    ),
    "three regions": (
        "  } : f32[B,3]\n  return",
        "  } {\n (%a : f32[B,3])\n yield %a\n  } : f32[B,3]\n  return",
        "cond has 2 region",
    ),
    "other results": (
        "  } : f32[B,3]\n  return",
        "  } : f32[3]\n  return",
        "not f32[3]",
    ),
    "two results for one": (
        "%y = cond(%p, %x)",
        "%y, %z = cond(%p, %x)",
        "2 results, but 1 types",
    ),
    "an attribute": ("cond(%p, %x)", "cond(%p, %x, axis=1)", "no attribute 'axis'"),
    "a value from outside": ("neg(%a)", "neg(%x)", "%x is used before"),
    "a declaration": ("neg(%a)", "mul(%a, %w)", "%w is used before"),
    "an input": ("neg(%a)", 'input(source="X")', "inputs are read outside"),
    "no yield": ("    yield %b\n", "", "line 11: expected a statement"),
}

WELL_FORMED = """\
slim 1
param %w : f32[3]

func f {
  %x = input(source="X") : f32[B,3]
  %p = input(source="p") : bool[]
  %q = input(source="q") : f32[]
  %y = cond(%p, %x) {
    (%a : f32[B,3])
    %b = neg(%a) : f32[B,3]
    yield %b
  } {
    (%a : f32[B,3])
    yield %a
  } : f32[B,3]
  return %y
}
"""
