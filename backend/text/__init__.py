"""A model as text, and back: the one form in which programs travel and rest."""

from slimlearn.backend.text.cursor import ProgramError
from slimlearn.backend.text.parser import parse_program
from slimlearn.backend.text.printer import print_program

__all__ = ["ProgramError", "parse_program", "print_program"]
