"""XML without document type: nothing in it can be expanded or fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_plain


class _DocumentTypeError(ValueError):
    """The file has a document type declaration."""


def read_xml(path: Path) -> Element:
    """Root element of an XML file.

    Raises
    ------
    DatasetError
        The file cannot be read, is cut off or not XML, or has a document type declaration
        (which could define entities).
    """
    return parse_xml(read_plain(path), path)


def parse_xml(content: bytes, path: Path) -> Element:
    """Root element of XML that stands in a file; errors as of `read_xml`."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except _DocumentTypeError as error:
        raise DatasetError(
            f"{path}: it has a document type declaration (DOCTYPE); files of this tool have "
            "none, so it is not read"
        ) from error
    except expat.ExpatError as error:
        raise DatasetError(f"{path}: not XML or cut off ({error}); copy it again") from error
    return builder.close()


def _refuse(*_parts: object) -> None:
    raise _DocumentTypeError
