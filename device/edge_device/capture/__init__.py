"""`edge-sdk capture`: images from a camera into class folders."""
