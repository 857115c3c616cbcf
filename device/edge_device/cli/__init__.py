"""The commands of edge-sdk-device."""
