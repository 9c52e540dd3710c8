"""YOLO: a folder per split with `images/` and what Label Studio's own converter makes of the regions."""

from lsloop.dataset.layouts import images

NAME = "yolo/1"
CONVERTED = "YOLO"

unit = images.unit
writer = images.writer
