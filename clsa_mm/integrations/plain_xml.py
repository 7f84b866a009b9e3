"""Annotation files in XML, without what XML can do beside holding text."""

import xml.etree.ElementTree as ET

from clsa_mm.printable import printable


class _NoDoctype(ET.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError('it declares a DOCTYPE, which annotations have no use for')


def read_xml(path: str) -> ET.Element:
    """Read a file that may come from anywhere.

    A DOCTYPE is where entities are declared, which grow to gigabytes or stand for other files; so none is
    read, whatever the parser would make of it.

    Args:
        path: The file.

    Returns:
        Its root.

    Raises:
        ValueError: It is not a whole .xml file, or has a DOCTYPE.
    """
    try:
        return ET.parse(path, ET.XMLParser(target=_NoDoctype())).getroot()
    except (ET.ParseError, ValueError) as error:
        raise ValueError(
            f'{printable(path)} is not a whole, plain .xml file ({error}): mend or replace it.'
        ) from error
