"""Reader of notes from MusicXML (.mxl, .musicxml, .xml), for the part of the format that chorales use.

music21 reads the whole format, but slowly. Tests compare the notes with music21's.
"""

import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.data.music.notes import TICKS, as_notes
from gdl_jax.data.text.text_files import reason

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
CONTAINER = "META-INF/container.xml"
DAMAGE = (  # errors that damaged archives and scores lead to
    *(ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(AttributeError, LookupError, TypeError, ValueError),
)


def _content(path: Path) -> bytes:
    """Returns the XML, unpacked if it is in an archive."""
    if path.suffix != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read(CONTAINER)).find(".//{*}rootfile")
        return archive.read(root.get("full-path"))


def _ticks(duration: int, divisions: int) -> int:
    """Converts a length in units of 1 / `divisions` of a quarter note to ticks."""
    ticks, rest = divmod(duration * TICKS, divisions)
    if rest:
        raise ValueError(f"a length of {duration}/{divisions} of a quarter note is not a multiple of 1/{TICKS}")
    return ticks


def _read_part(part: ElementTree.Element, track: int) -> list[tuple[int, int, int, int]]:
    """Returns the notes of one part; tied notes are joined, grace notes and repeat signs ignored."""
    notes, tied = [], {}  # [start, end, pitch]; pitch -> its note that a tie continues
    now, divisions, length = 0, 1, 0
    for measure in part.iterfind("measure"):
        end = now
        for element in measure:
            if (found := element.findtext("divisions")) is not None:
                divisions = int(found)
            if element.tag not in ("note", "backup", "forward") or element.find("duration") is None:
                continue
            if element.find("chord") is not None:  # sounds together with the note before
                now -= length
            length = _ticks(int(element.findtext("duration")), divisions)
            if (pitch := element.find("pitch")) is not None:
                number = STEPS[pitch.findtext("step")] + int(pitch.findtext("alter", "0"))
                number += 12 * (int(pitch.findtext("octave")) + 1)
                ties = {tie.get("type") for tie in element.iterfind("tie")}
                last = tied.pop(number, None)
                if "stop" in ties and last and last[1] == now:
                    last[1] += length
                else:
                    last = [now, now + length, number]
                    notes.append(last)
                if "start" in ties:
                    tied[number] = last
            now += -length if element.tag == "backup" else length
            end = max(end, now)
        now = end
    return [(start, end - start, pitch, track) for start, end, pitch in notes]


def read_notes(path: Path) -> np.ndarray:
    """Reads the notes (N, 4) of a score; each part is a track.

    Raises:
      UserError: the file cannot be read, is damaged, or has times that are no multiple of a tick (data/music/notes.py).
    """
    try:
        parts = ElementTree.fromstring(_content(path)).findall("part")
        return as_notes(note for track, part in enumerate(parts) for note in _read_part(part, track))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    except DAMAGE as error:
        said = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{path}: not a readable score in MusicXML ({said})") from error
