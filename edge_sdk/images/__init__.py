"""Image and video files, frames of planes, perceptual hashes, and drawing on frames."""
