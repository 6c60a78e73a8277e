"""A text with every form of statement, and changes that make it no program."""

TEXT = """\
slim 1
param %fc1/weights : f32[20,64]
param %fc1/biases : f32[64] (decay_factor=0.5, learning_rate_factor=0.25)
state %bn/moving_mean : f32[64]
hyper %learning_rate : f64[]
slot %adam/m : f32[P]

func predict {
  %x = input(source="X") : f32[B,20]
  %fc1/matmul = matmul(%x, %fc1/weights, transpose_a=false, transpose_b=false) : f32[B,64]
  %r = fused(%fc1/matmul, %fc1/biases) {
    (%a : f32[B,64], %b : f32[64])
    %t = add(%a, %b) : f32[B,64]
    %u = relu(%t) : f32[B,64]
    yield %u
  } : f32[B,64]
  return %r
}

func grad {
  %x = input(columns=[0, 20], source="X") : f32[B,20]
  %mean = reduce_sum(%bn/moving_mean, axes=[], keepdims=false) : f32[64]
  %constant = constant(value=0.1) : f32[20,64]
  set %bn/moving_mean = %mean
  grad %fc1/weights = %constant
  grad %fc1/biases = %mean
}

func update {
  %w = input(source="weight") : f32[P]
  set %adam/m = %w
  return %w, %adam/m, %learning_rate
}
"""  # noqa: E501


def predict(*lines: str, declared: str = "") -> str:
    """Return a program whose predict computes %r from four columns."""
    body = "".join(f"  {line}\n" for line in lines)
    return (
        f"slim 1\n{declared}\nfunc predict {{\n"
        f'  %x = input(source="X") : f32[B,4]\n{body}  return %r\n}}\n'
    )


# What is replaced, by what, and the refusal.
REFUSED = [
    (
        "slim 1",
        "slim 2",
        r"version 2 is newer than this slimlearn reads \(1",
    ),
    ("slim 1", "slim 0", r"line 1: expected a version such as 1, got 'slim 0'"),
    ("slim 1", "slim 01", r"line 1: expected a version such as 1, got 'slim 01'"),
    ("slim 1", "slam 1", r"line 1: expected 'slim 1', got 'slam 1'"),
    ("slim 1", "", r"line 2: expected 'slim 1', got 'param"),
    ("f32[20,64]", "f16[20,64]", r"line 2: expected one of f32, f64, .* got 'f16"),
    ("f32[20,64]", "f32[20,64", r"line 2: expected a type such as f32\[B,64\]"),
    ("f32[20,64]", "f32[20,B+]", r"line 2: dimension 'B\+': expected"),
    ("f32[20,64]", "f32[20,-64]", r"line 2: negative dimension"),
    ("f32[20,64]", "f32[1,1,1,1,1,1,1,1,1]", "line 2: a type has at most 8 dim"),
    ("%fc1/biases :", "%fc1/weights :", r"line 3: %fc1/weights is declared twice"),
    ("rate : f64[]", "rate : f32[]", r"line 5: hyper %learning_rate is f32\[\], needs"),
    ("_factor=0.25", "_factor=-0.25", r"line 3: learning_rate_factor is -0.25, needs"),
    ("_factor=0.25", "_factor=inf", r"line 3: learning_rate_factor is inf, needs a"),
    ("_factor=0.25", "_factor=1", r"line 3: learning_rate_factor is 1, needs a finite"),
    ("_factor=0.25)", "_factor=0.25", r"line 3: expected ','"),
    ("_factor=0.25)", "_factor=0.25) 1", r"line 3: expected the end of the line"),
    ("learning_rate_fac", "rate_fac", r"line 3: expected decay_factor or learning_r"),
    ("learning_rate_fac", "decay_fac", r"line 3: decay_factor stands twice"),
    ("(decay_factor=0.5, learning_rate_factor=0.25)", "()", r"line 3: expected decay"),
    ("mean : f32[64]", "mean : f32[64] (decay_factor=0.5)", "line 4: expected the end"),
    ("func grad {", "func predict {", r"line 20: function predict is defined twice"),
    ("func grad {", "func grad", r"line 20: expected '{', got the end of the line"),
    ("func grad {", "param %q : f32[]", r"line 20: expected 'func', got 'param %q"),
    ("relu(%t)", "rélu(%t)", r"line 14: expected a known op, got 'rélu"),
    ("relu(%t)", "relo(%t)", r"line 14: expected a known op, got 'relo"),
    ("relu(%t)", "relu(%x)", r"line 14: %x is used before it is defined"),
    ("relu(%t)", "relu(%t, %t)", r"line 14: \[relu u\] takes 1 operands, got 2"),
    ("relu(%t)", "relu(%t, a=1)", r"line 14: relu has no attribute 'a'"),
    ("relu(%t) :", "relu(%t) { :", r"line 14: expected ':' \(relu has no region\)"),
    ("%u = relu", "%t = relu", r"line 14: %t is defined twice"),
    (
        "%u = relu(%t) : f32[B,64]",
        "%u = relu(%t) : f64[B,64]",
        r"14: \[relu u\]",
    ),
    ("yield %u", "yield", r"line 15: expected a value such as %x"),
    ("    yield %u\n", "", r"line 15: expected a statement, got '} : f32"),
    ("} : f32[B,64]", "} : f32[B,64], f32[B,64]", r"line 16: 1 results, but 2 types"),
    ("%r = fused", "%r, %s = fused", r"line 16: 2 results, but 1 types"),
    ("(%a : f32[B,64],", "(%a : f32[B,63],", r"line 13: \[add t\] shapes do not broad"),
    ("return %r\n", "return %r\n  return %r\n", r"line 18: expected '}' after return"),
    ("transpose_a=false, ", "", r"line 10: matmul needs the attribute 'transpose_a'"),
    (
        "transpose_a=false",
        "transpose_a=0",
        r"line 10: matmul: transpose_a must be",
    ),
    ("transpose_b", "transpose_a", r"line 10: attribute 'transpose_a' stands twice"),
    ("20,64]", "21,64]", r"line 10: .* inner dimensions differ"),
    ("[0, 20]", "[0, 2.0]", r"line 21: expected numbers of one kind, got '2.0"),
    ("[0, 20]", "[[0], 2]", r"line 21: expected a number or '\]'"),
    ("[0, 20]", f"[0, {2**63}]", r"line 21: expected an integer of 64 bits"),
    ("value=0.1", "value=1e999", r"line 23: expected a float of 64 bits"),
    (
        "value=0.1",
        "value=1",
        r"line 23: .* value is 1, needs a float",
    ),
    ('"X"', '"X', r"line 9: expected a number, true, false, a string"),
    ('"X"', '"\\ud800"', r"line 9: expected a JSON string"),
    ('"X"', '"\t"', r"line 9: expected a JSON string"),
    ("set %bn/moving_mean", "set %mean", r"line 24: set %mean: this is no declaration"),
    ("grad %fc1/biases", "grad %bn/moving_mean", r"26: .* cannot assign to a state"),
    (
        "grad %fc1/biases",
        "grad %fc1/weights",
        r"26: \[grad fc1/weights\] needs f32",
    ),
    ("grad %fc1/biases", "set %fc1/biases", r"26: .* must stand before the first grad"),
    (
        "set %adam/m = %w",
        "set %adam/m = %learning_rate",
        r"31: \[set adam/m\] needs",
    ),
    ("set %adam/m = %w", "%y = neg(%w) : f32[P], q", r"line 31: expected a type such"),
    (
        "%learning_rate\n}\n",
        "%learning_rate\n",
        r"line 33: expected '}' that ends func up",
    ),
    ("return %w, ", "return %w ", r"line 32: expected the end of the line"),
]
