"""Stands for PiDNG, which has no arm64 wheel: picamera2 imports it to write raw files."""
