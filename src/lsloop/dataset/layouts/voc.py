"""Pascal VOC layout: a folder per split with `images/`.

Label Studio's own converter makes the rest of the regions.
"""

from lsloop.dataset.layouts import images

NAME = "voc/1"
CONVERTED = "VOC"

unit = images.unit
writer = images.writer
