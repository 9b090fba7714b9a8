"""Labelled pictures: what they show, which version of them, which of them a model may see."""
