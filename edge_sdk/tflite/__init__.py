"""TensorFlow Lite files: reading their graph and metadata, and making a tiny one."""
