"""How good it is: bits per byte."""
