"""Write a small program for `threads`; print the numbers that its training reads."""

import sys

from support.training_case import Case, data, network

hypers = {"keep_prob": 0.5}
case = Case(network("f64", dropout=True, center=True), data(90), hypers=hypers)
case.program.save(sys.argv[1])
print(*(f"{name}={value!r}" for name, value in case.options["hypers"].items()))
