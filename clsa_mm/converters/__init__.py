"""Checkpoints of other libraries, and for other people (:mod:`clsa_mm.converters.publish`)."""

from clsa_mm.converters.convert import FORMATS, Conversion, convert, convert_file

__all__ = ['FORMATS', 'Conversion', 'convert', 'convert_file']
