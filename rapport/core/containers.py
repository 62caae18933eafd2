"""What an audio file's own headers say: its kind, and whether bytes that it declares are missing.

Decoders differ in what they do with a cut file (libsndfile shortens a WAV without a word), so cuts are found here, from the bytes.
"""

import struct
from collections.abc import Iterator

# Sizes from here on are what streaming writers put in a header whose length they do not know yet.
_UNKNOWN_SIZE = 0x7FFF_F000

_POINTER = b"version https://git-lfs.github.com/spec/v1"


def is_lfs_pointer(data: bytes) -> bool:
    """Whether this is the small text that git leaves in place of a file kept in git-LFS."""
    return data[:200].lstrip().startswith(_POINTER)


def ffmpeg_format(data: bytes) -> str | None:
    """FFmpeg's name of a container that libsndfile does not read, or None.

    FFmpeg is only ever handed one of these by name: its own guess would also follow playlists to other files and addresses.
    """
    if data[4:8] in (b"ftyp", b"moov", b"styp"):
        return "mov"
    if data.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if data.startswith(b"RIFF") and data[8:12] == b"AVI ":
        return "avi"
    if data.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        return "asf"
    if data.startswith(b"#!AMR"):
        return "amr"
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return "aac"
    return None


def missing_bytes(data: bytes) -> int:
    """How many bytes a RIFF, RF64, Ogg or MPEG-4 file declares beyond its end; 0 for a whole file and for other kinds."""
    if data[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _missing_riff(data)
    if data.startswith(b"OggS"):
        return _missing_ogg(data)
    if data[4:8] == b"ftyp":
        return max((end - len(data) for end in _mp4_box_ends(data)), default=0)
    return 0


def _missing_riff(data: bytes) -> int:
    order = ">" if data.startswith(b"RIFX") else "<"
    position, long_size = 12, None
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack_from(order + "I", data, position + 4)
        position += 8
        if name == b"ds64" and position + 16 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, position + 8)
        if name == b"data":
            if size == 0xFFFF_FFFF and long_size is not None:
                size = long_size
            elif size >= _UNKNOWN_SIZE:
                return 0
            return max(0, position + size - len(data))
        position += size + size % 2  # chunks are padded to even sizes
    return max(0, position - len(data))


def _missing_ogg(data: bytes) -> int:
    position = 0
    while position + 27 <= len(data) and data.startswith(b"OggS", position):
        segments = data[position + 26]
        lacing = data[position + 27 : position + 27 + segments]
        position += 27 + segments + sum(lacing)
    return max(0, position - len(data))


def _mp4_box_ends(data: bytes) -> Iterator[int]:
    position = 0
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        if size == 1 and position + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size < 8:  # 0 is "to the end of the file"
            return
        position += size
        yield position
