"""Readers of other tools' label files: each gives samples, or complaints that name file and cure."""
