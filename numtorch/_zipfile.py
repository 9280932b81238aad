"""The archive that torch.save writes: an uncompressed zip whose records start at multiples of 64 bytes.

Records are `<archive>/data.pkl`, `.format_version`, `.storage_alignment`, `byteorder`, `data/<key>` per
storage, `version` and `.data/serialization_id`. Every local header is padded by an extra field ("FB", length,
Z...) up to the alignment, so that a storage can be mapped into memory as it lies in the file; sizes and
checksum follow the payload in a data descriptor. The layout is miniz's, since torch computes the place of a
storage from it without reading the directory. Format: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

ALIGNMENT = 64
_MAX32 = 0xFFFFFFFF
_MAX16 = 0xFFFF
_UTF8 = 0x0800
_DESCRIPTOR = 0x0008
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_END = struct.Struct("<4s4H2IH")

_CORRUPT = (
    " This is most likely a corrupted checkpoint: it was not saved to its end, or it was damaged when it was copied or "
    "read."
)


class ArchiveWriter:
    """Writes records one after the other through `write` (the method of a file), then the directory in `close`."""

    def __init__(self, write: Callable[[bytes], object], name: str, checksum: bool = True):
        self._write = write
        self._name = name
        self._checksum = checksum
        self._at = 0
        self._directory: list[bytes] = []
        self._digest = hashlib.blake2b(digest_size=16)

    def _put(self, data) -> None:
        self._write(data)
        self._at += len(data)

    def record(self, name: str, payload) -> None:
        """Append a record; `payload` is bytes or a one-dimensional uint8 array."""
        path = f"{self._name}/{name}".encode()
        size, start = len(payload), self._at
        crc = zlib.crc32(payload) if self._checksum and size else 0
        flags = _UTF8 | (_DESCRIPTOR if size else 0)
        wide = size >= _MAX32 or start >= _MAX32
        zip64 = b""
        if wide:
            fields = [size, size] if size >= _MAX32 else []
            fields += [start] if start >= _MAX32 else []
            zip64 = struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields)
        padding = -(start + _LOCAL.size + len(path) + len(zip64) + 4) % ALIGNMENT
        extra = zip64 + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        size32 = _MAX32 if size >= _MAX32 else 0  # 0: the data descriptor tells
        self._put(_LOCAL.pack(b"PK\3\4", 0, flags, 0, 0, 0, 0, size32, size32, len(path), len(extra)) + path + extra)
        if size:
            self._put(payload if isinstance(payload, bytes) else memoryview(payload))
            self._put(struct.pack("<4sI2Q" if wide else "<4s3I", b"PK\7\10", crc, size, size))
        size32 = min(size, _MAX32)
        self._directory.append(
            _CENTRAL.pack(
                *(b"PK\1\2", 0, 0, flags, 0, 0, 0, crc, size32, size32),
                *(len(path), len(zip64), 0, 0, 0, 0, min(start, _MAX32)),
            )
            + path
            + zip64
        )
        self._digest.update(path + struct.pack("<IQ", crc, size))

    def close(self) -> None:
        self.record("version", b"3\n")
        self.record(".data/serialization_id", str(int.from_bytes(self._digest.digest(), "little")).zfill(40).encode())
        start, count = self._at, len(self._directory)
        for entry in self._directory:
            self._put(entry)
        size, end = self._at - start, self._at
        self._put(_END64.pack(b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, size, start))
        self._put(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        few = min(count, _MAX16)
        self._put(_END.pack(b"PK\5\6", 0, 0, few, few, min(size, _MAX32), min(start, _MAX32), 0))


class ArchiveReader:
    """Reads the records of an archive in a seekable binary file; raises RuntimeError where it is damaged."""

    def __init__(self, file):
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
            infos = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, struct.error, OverflowError, NotImplementedError) as error:
            raise self._broken("failed finding central directory", error) from error
        if not infos:
            raise RuntimeError("PytorchStreamReader failed reading zip archive: it holds no record." + _CORRUPT)
        self._prefix = infos[0].filename.split("/", 1)[0] + "/"
        self._infos = {
            info.filename[len(self._prefix) :]: info for info in infos if info.filename.startswith(self._prefix)
        }

    @staticmethod
    def _broken(what: str, error: object = "") -> RuntimeError:
        detail = f" ({error})" if str(error) else ""
        return RuntimeError(f"PytorchStreamReader failed reading zip archive: {what}{detail}." + _CORRUPT)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def names(self) -> list[str]:
        return list(self._infos)

    def size(self, name: str) -> int:
        return self._info(name).file_size

    def _info(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._infos[name]
        except KeyError:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found." + _CORRUPT) from None

    def offset(self, name: str) -> int:
        """Where the payload of an uncompressed record starts in the file."""
        info = self._info(name)
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            raise self._broken(f"no local header at record {name}")
        name_length, extra_length = struct.unpack("<2H", header[26:30])
        return info.header_offset + _LOCAL.size + name_length + extra_length

    def read(self, name: str) -> bytearray:
        """The payload of a record, its checksum verified if it has one (torch can save without)."""
        info = self._info(name)
        if info.compress_type != zipfile.ZIP_STORED:
            return self._inflate(name, info)
        at = self.offset(name)
        self._file.seek(0, 2)
        if info.file_size != info.compress_size or at + info.file_size > self._file.tell():
            raise self._broken(f"record {name} reaches past the end of the file")
        payload = bytearray(info.file_size)
        self._file.seek(at)
        view, filled = memoryview(payload), 0
        while filled < len(payload):
            count = self._file.readinto(view[filled:]) if hasattr(self._file, "readinto") else 0
            if not count:
                data = self._file.read(len(payload) - filled)
                view[filled : filled + len(data)] = data
                count = len(data)
            if not count:
                raise self._broken(f"record {name} ends early")
            filled += count
        if info.CRC and zlib.crc32(payload) != info.CRC:
            raise self._broken(f"bad checksum of record {name}")
        return payload

    def _inflate(self, name: str, info: zipfile.ZipInfo) -> bytearray:
        try:
            return bytearray(self._zip.read(info))
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise self._broken(f"failed reading record {name}", error) from error

    def map(self, path: str, name: str, shared: bool) -> np.ndarray:
        """A record as it lies in the file at `path`, uint8; private copy-on-write pages unless `shared`."""
        info = self._info(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(f"record {name} is compressed and can not be mapped into memory")
        if not info.file_size:
            return np.empty(0, np.uint8)
        try:
            return np.memmap(path, np.uint8, "r+" if shared else "c", self.offset(name), (info.file_size,))
        except ValueError as error:
            raise self._broken(f"record {name} reaches past the end of the file", error) from error
