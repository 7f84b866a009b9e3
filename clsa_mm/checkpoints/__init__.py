"""Checkpoints of other libraries, and for other people (:mod:`clsa_mm.checkpoints.publish`)."""

from clsa_mm.checkpoints.convert import FORMATS, Conversion, convert, convert_file

__all__ = ['FORMATS', 'Conversion', 'convert', 'convert_file']
