"""Accuracy of a bundle on labelled samples: classes, or COCO's mAP for detectors."""
