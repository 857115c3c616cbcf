"""Stands for kms++, whose binding picamera2 imports for a preview window that no test opens."""


class _Names(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class PixelFormat(metaclass=_Names):
    """Every format is its own name."""
