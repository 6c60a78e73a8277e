"""Random dimensions: trees of what they are made of, and the dimensions."""

from hypothesis import strategies as st

from slimlearn.backend.shape import B, symbol

T = symbol("T")

dims = st.recursive(
    st.one_of(
        st.integers(0, 9),
        st.sampled_from([B, T, symbol("H_in")]),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*"), inner, inner),
        st.tuples(st.just("//"), inner, st.integers(1, 7)),
    ),
    max_leaves=8,
)


def build(tree):
    if not isinstance(tree, tuple):
        return tree
    sign, left, right = tree[0], build(tree[1]), build(tree[2])
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    return left * right if sign == "*" else left // right
