"""The answers of people and models, in the terms of a label config.

Pure: no network, no files, no SDK.
"""
