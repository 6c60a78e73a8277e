"""What a network means: shapes, graphs, ops, gradients, and the program's text."""
