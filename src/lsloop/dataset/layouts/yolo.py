"""YOLO layout: a folder per split with `images/`.

Label Studio's own converter makes the rest of the regions.
"""

from lsloop.dataset.layouts import images

NAME = "yolo/1"
CONVERTED = "YOLO"

unit = images.unit
writer = images.writer
