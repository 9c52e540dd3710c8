"""Pascal VOC: a folder per split with `images/` and what Label Studio's own converter makes of the
regions."""

from lsloop.dataset.layouts import images

NAME = "voc/1"
CONVERTED = "VOC"

unit = images.unit
writer = images.writer
