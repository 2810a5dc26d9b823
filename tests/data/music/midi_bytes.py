"""MIDI files composed byte by byte."""


def variable(number):
    """Returns a number as MIDI files write times: seven bits a byte, the highest bit set in all but the last."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def midi_bytes(*tracks, division=480, kind=1):
    """Returns a MIDI file of tracks, each a list of (ticks since the event before, bytes of the event)."""
    header = b"MThd" + (6).to_bytes(4) + kind.to_bytes(2) + len(tracks).to_bytes(2) + division.to_bytes(2)
    chunks = [header]
    for events in tracks:
        body = b"".join(variable(delta) + bytes(event) for delta, event in [*events, (0, b"\xff\x2f\x00")])
        chunks.append(b"MTrk" + len(body).to_bytes(4) + body)
    return b"".join(chunks)


def on(pitch, channel=0, velocity=100):
    return 0x90 + channel, pitch, velocity


def off(pitch, channel=0):
    return 0x80 + channel, pitch, 64


def riff(content):
    """Returns a MIDI file in its RIFF wrapper, after a chunk of odd length."""
    chunks = b"DISP\x03\0\0\0abc\0data" + len(content).to_bytes(4, "little") + content
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"RMID" + chunks


GOOD = midi_bytes([(0, on(60)), (480, off(60))])
BROKEN = {
    "empty": b"",
    "text": b"Not a MIDI file at all, but a longer text.",
    "truncated": GOOD[:-9],
    "truncated header": GOOD[:10],
    "truncated RIFF": riff(GOOD)[:-9],
    "empty RIFF": b"RIFF\4\0\0\0RMID",
    "no notes": midi_bytes([]),
    "only drums": midi_bytes([(0, on(38, 9)), (480, off(38, 9))]),
    "frames": midi_bytes([(0, on(60)), (480, off(60))], division=0xE250),
    "no division": midi_bytes([(0, on(60)), (480, off(60))], division=0),
    "running status first": midi_bytes([(0, (60, 100)), (480, (60, 0))]),
    "undefined status": midi_bytes([(0, on(60)), (480, (0xF5, 1))]),
    "no length": midi_bytes([(0, on(60))]),
    "too long": midi_bytes([(0, on(60)), (2**28 - 1, off(60))], division=1),
    "times of many bytes": midi_bytes([(0, on(60)), (2**90, off(60))]),
    "several pieces": midi_bytes([(0, on(60)), (480, off(60))], [(0, on(62)), (480, off(62))], kind=2),
}
