"""Drawings of the book, as SVG that takes the page's own ink, so that it is readable in a light and in a dark theme.

    canvas   boxes, arrows, text
    codec    the map of the whole codec, large, and small with "you are here"
    sound    a kernel on samples, the padded buffer, the residual block
    memory   the LSTM cell, attention
    learn    residual vectors, the training loop

Each is at most 480 units wide with type of 13 or more, which a phone still shows at 10 pixels.
"""

from drawings import codec, learn, memory, sound

ALL = {
    "map": codec.whole_map, "here": codec.here, "kernel": sound.kernel, "padded_buffer": sound.padded_buffer,
    "residual_block": sound.residual_block, "lstm_cell": memory.lstm_cell, "attention": memory.attention,
    "residual_vectors": learn.residual_vectors, "training_loop": learn.training_loop,
}


def svg(name: str, **options: object) -> str:
    """The drawing of a name, with its caption, as HTML: a `figure` with an `svg` in it.

    Raises `ValueError` for a name that there is not.
    """
    if name not in ALL:
        raise ValueError(f"drawing: expected one of {', '.join(ALL)}, got {name!r}")
    return ALL[name](**options).html()
