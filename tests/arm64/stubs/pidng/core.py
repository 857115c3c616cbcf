"""Imported by picamera2, never called here."""


class PICAM2DNG:
    """Would write a DNG file."""
