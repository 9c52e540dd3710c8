"""What leaves as files: the rows of the export, the index beside them, the folders and the layouts."""
