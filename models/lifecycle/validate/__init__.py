"""What a model is worth, in figures that can be defended: rates with exact intervals, curves, people beside it."""
