"""YOLO layout: a folder per split with `images/`.

Beside them lies what Label Studio's own converter makes of the regions.
"""

from lsloop.dataset.layouts import images

NAME = "yolo/1"
CONVERTED = "YOLO"

unit = images.unit
writer = images.writer
