"""The commands of edge-sdk-converter."""
