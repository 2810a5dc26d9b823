"""Notes of scores in MusicXML (.mxl, .musicxml, .xml), as much of the format as chorales need.

music21 reads all of it, slowly; that these notes are the ones that it finds is tested.
"""

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.music.notes import TICKS, as_notes

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
CONTAINER = "META-INF/container.xml"


def _content(path: Path) -> bytes:
    """The XML itself, out of its archive where it is in one."""
    if path.suffix != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read(CONTAINER)).find(".//{*}rootfile")
        return archive.read(root.get("full-path"))


def _ticks(duration: int, divisions: int) -> int:
    """A length in ticks, from one in parts of a quarter note."""
    ticks, rest = divmod(duration * TICKS, divisions)
    if rest:
        raise ValueError(f"a length of {duration}/{divisions} of a quarter note is no multiple of 1/{TICKS}")
    return ticks


def _read_part(part: ElementTree.Element, track: int) -> list[tuple[int, int, int, int]]:
    """The notes of one part; tied ones are one note each, grace notes and repeats are passed over."""
    notes, tied = [], {}  # [start, end, pitch]; those that go on, by pitch
    now, divisions, length = 0, 1, 0
    for measure in part.iterfind("measure"):
        end = now
        for element in measure:
            if (found := element.findtext("divisions")) is not None:
                divisions = int(found)
            if element.tag not in ("note", "backup", "forward") or element.find("duration") is None:
                continue
            if element.find("chord") is not None:  # sounds along with the note before
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
    """The notes (N, 4) of a score; each part is a track.

    Raises:
      UserError: the file can't be read, is damaged, or has times finer than data/music/notes.py can tell.
    """
    try:
        parts = ElementTree.fromstring(_content(path)).findall("part")
        return as_notes(note for track, part in enumerate(parts) for note in _read_part(part, track))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, zipfile.BadZipFile, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a readable score in MusicXML ({type(error).__name__}: {error})") from error
