"""Pascal VOC layout: a folder per split with `images/`.

Beside them lies what Label Studio's own converter makes of the regions.
"""

from lsloop.dataset.layouts import images

NAME = "voc/1"
CONVERTED = "VOC"

unit = images.unit
writer = images.writer
