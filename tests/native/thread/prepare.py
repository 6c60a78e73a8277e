"""Write a small program for `threads`; print the numbers that its training reads.

prepare.py dense|images|recurrent FILE
"""

import sys

from support import image_case, recurrent_case
from support.training_case import Case, data, network

kind, path = sys.argv[1:]
if kind != "dense":
    case = {"images": image_case, "recurrent": recurrent_case}[kind]
    hypers, program = case.HYPERS, case.fitted().program_
else:
    dense = network("f64", dropout=True, center=True)
    case = Case(dense, data(90), hypers={"keep_prob": 0.5})
    hypers, program = case.options["hypers"], case.program
program.save(path)
print(*(f"{name}={value!r}" for name, value in hypers.items()))
