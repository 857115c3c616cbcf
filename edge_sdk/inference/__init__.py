"""From a bundle and a frame to a result: admission, golden proof, recognizer."""
