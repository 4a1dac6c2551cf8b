"""Pictures: each function takes labelled data and Axes, draws on them, and gives them back."""
