"""Models of the user's own, one file for each format that is read."""
