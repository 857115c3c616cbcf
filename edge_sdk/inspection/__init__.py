"""What is in a file or a folder, without running anything."""
