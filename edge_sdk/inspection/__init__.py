"""The contents of a file or a folder, without running anything."""
