"""Records of one session to labelled Datasets, one noun a module."""
