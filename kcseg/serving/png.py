"""16-bit PNG to pixels inside the graph; other pictures are refused before they are decoded."""

import tensorflow as tf

# what every PNG begins with: its signature, then the length and name of the chunk that holds size and kind
_BEGINNING = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def decode_grey_png(image_bytes: tf.Tensor, maximum_pixels: int) -> tf.Tensor:
    """Decode 16-bit grey PNGs of one size, string (batch,), to their stored values, uint16 (batch, height, width).

    Raises:
        tf.errors.InvalidArgumentError: no picture; or one that is no PNG, is broken, has another depth or kind, is
            not of the size of the others; or more than `maximum_pixels` in all.
    """
    image_bytes = tf.ensure_shape(image_bytes, (None,))
    # TensorFlow takes any picture and rescales 8-bit ones to 16 bit, so that HU would be wrong without an error
    header = tf.cast(tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=26), tf.int64)
    size = tf.reshape(header[:, 16:24], (-1, 2, 4)) @ tf.constant([[2**24], [2**16], [2**8], [1]], tf.int64)
    # float64, since forged sizes may be too large for int64
    pixels = tf.reduce_sum(tf.reduce_prod(tf.cast(size, tf.float64), axis=1))
    checks = [
        tf.debugging.Assert(holds, [message])
        for holds, message in (
            (tf.size(image_bytes) > 0, "expected at least one picture in image_bytes"),
            (tf.reduce_all(header[:, :16] == list(_BEGINNING)), "expected PNG in image_bytes"),
            (tf.reduce_all(header[:, 24:] == [16, 0]), "expected 16-bit grey PNG, got another depth or kind"),
            (
                tf.reduce_all(size == size[:1]),
                "expected pictures of one size in a request; send others apart",
            ),
            (pixels <= maximum_pixels, f"expected at most {maximum_pixels} pixels in a request; send fewer"),
        )
    ]
    with tf.control_dependencies(checks):
        image_bytes = tf.identity(image_bytes)
    return tf.map_fn(
        lambda picture: tf.io.decode_png(picture, channels=1, dtype=tf.uint16)[..., 0],
        image_bytes,
        fn_output_signature=tf.TensorSpec((None, None), tf.uint16),
    )
