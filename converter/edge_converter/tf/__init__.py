"""TensorFlow and Keras: how they are imported here, and their graphs."""
