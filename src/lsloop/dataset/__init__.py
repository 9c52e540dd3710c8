"""Export as files: its rows, the index beside them, folders and layouts."""
