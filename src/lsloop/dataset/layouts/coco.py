"""COCO layout, with polygons, too: a folder per split with `images/`.

It is converted by what Label Studio itself has for it.
"""

from lsloop.dataset.layouts import images

NAME = "coco/1"
CONVERTED = "COCO"

unit = images.unit
writer = images.writer
