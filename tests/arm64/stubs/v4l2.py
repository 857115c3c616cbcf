"""Stands for v4l2-python3, which has no wheel: the same declarations, of its successor."""

from videodev2 import *  # noqa: F403
from videodev2 import _IOW, _IOWR  # noqa: F401
