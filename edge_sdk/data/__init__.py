"""Labelled samples: where they come from, how they are split, what is in a set of them."""
