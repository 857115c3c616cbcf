"""What is measured of a run, and the document and text that report it."""
