"""Checkpoints of other libraries, and for other people."""

from clsa_mm.converters.convert import FORMATS, Conversion, convert, convert_file
from clsa_mm.converters.publish import publish_checkpoint

__all__ = ['FORMATS', 'Conversion', 'convert', 'convert_file', 'publish_checkpoint']
