"""[quantize]: from a Keras model to .tflite.

conversion starts the child, a process of its own, and holds what comes back against the Keras
model. The child calibrates once (calibration, percentile), quantizes, and measures what each layer
loses (layer_error); layer_names and unconvertible say it in the names of the user's layers.
"""
