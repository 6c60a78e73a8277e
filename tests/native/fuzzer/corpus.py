"""Write programs and model files from which the fuzzer begins, and words of the text.

corpus.py FOLDER: into FOLDER/text, FOLDER/file and FOLDER/words.
"""

import sys
from pathlib import Path

from support import image_case
from support.corners import ALL, models
from support.op_cases import CASES
from support.training_case import Case, data, network

from slimlearn.backend.op import OPS
from slimlearn.backend.text import print_program

folder = Path(sys.argv[1])
texts, files = folder / "text", folder / "file"
for made in (texts, files):
    made.mkdir(parents=True, exist_ok=True)
for op, cases in CASES.items():
    for number, case in enumerate(cases):
        (texts / f"{op}-{number}").write_text(print_program(case.model("f32")))
# With their gradients, those of norms, activations and losses too.
for op, cases in ALL.items():
    for number, case in enumerate(cases):
        if made := models(case, "f32"):
            (texts / f"grad-{op}-{number}").write_text(print_program(made[0]))
OPTIONS = [{}, {"dropout": True, "center": True}, {"branches": True}, {"split": True}]
for number, options in enumerate([*OPTIONS, {"sparse": True, "rows": True}]):
    model = network("f32", sizes=(4, 3, 2), **options)
    (texts / f"network-{number}").write_text(print_program(model))
    if not options.get("sparse"):
        hypers = {"keep_prob": 0.5} if options.get("dropout") else {}
        case = Case(model, data(5, features=4, classes=2), hypers=hypers)
        case.program.save(files / f"{number}")
images = image_case.fitted(channels=4).program_
(texts / "network-images").write_text(images.text)
images.save(files / "images")
words = {"func", "param", "state", "hyper", "slot", "input", "return", "grad", "set"}
words |= {
    "source=",
    "yield",
    "f32[",
    "f64[",
    "csr f32[",
    "rows f32[",
    "[B,",
    "T,",
    *OPS,
}
(folder / "words").write_text("".join(f'"{word}"\n' for word in sorted(words)))
