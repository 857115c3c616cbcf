"""Imported by picamera2, never called here."""


class Picamera2Camera:
    """Would describe the sensor of a DNG file."""
