"""Measurements of a run, and the document and text that report them."""
