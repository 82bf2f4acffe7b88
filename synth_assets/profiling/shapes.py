"""Shapes of texts, such as `AAA-99`: a capital becomes A, a small letter a, a digit 9, the rest stays.

What belongs here: the mapping, as an Arrow function that runs inside the engine on whole batches; the engine's own `translate` takes
ten times as long. What does not: counting shapes (histograms.py). Ibis reads the annotations, so they are no texts here.
"""

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_CONTINUED = 0x80  # bytes 0x80 to 0xBF go on with a character that began before
_BYTES = np.arange(256, dtype=np.uint8)
_BYTES[ord("a") : ord("z") + 1] = ord("a")
_BYTES[ord("A") : ord("Z") + 1] = ord("A")
_BYTES[ord("0") : ord("9") + 1] = ord("9")
_BYTES[0x80:0xC0] = _CONTINUED
_BYTES[0xC0:] = ord("a")


def shapes_of(texts: pa.Array) -> pa.Array:
    """The shape of each text; any character beyond ASCII counts as a small letter.

    Args:
        texts: Array of texts (or chunked array), missing ones included.
    """
    if isinstance(texts, pa.ChunkedArray):
        return pa.chunked_array([shapes_of(chunk) for chunk in texts.chunks], type=pa.string())
    large = texts.cast(pa.large_string())
    _, offset_bytes, data = large.buffers()
    if not len(large) or data is None:
        return texts.cast(pa.string())
    offsets = np.frombuffer(offset_bytes, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
    shaped = _BYTES[np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]]
    offsets = offsets - offsets[0]
    starts = shaped != _CONTINUED
    if not starts.all():
        offsets = np.concatenate(([0], np.cumsum(starts)))[offsets]
        shaped = shaped[starts]
    made = pa.LargeStringArray.from_buffers(
        len(large), pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(np.ascontiguousarray(shaped))
    )
    if large.null_count:
        made = pc.if_else(large.is_valid(), made, pa.scalar(None, pa.large_string()))
    return made.cast(pa.string())


@ibis.udf.scalar.pyarrow  # type: ignore[untyped-decorator]
def shape(text: str) -> str:
    """The shape of a text column, as an expression."""
    return shapes_of(text)  # type: ignore[no-any-return]  # the engine hands in arrays
