"""Measures and selections: labelled Datasets in, labelled Datasets out."""
