"""Data that leave as files: rows of the export, index, folders and layouts."""
