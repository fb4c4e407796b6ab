"""Functions as users write them, for the tests of Python filter and reduction."""

import numpy as np


def box_sum(input_buffers, input_profiles, params):
    """Sum around each pixel, in the input's own type; nothing lies beyond the image."""
    radius = params["radius"]
    image = input_buffers[0]
    rows, cols = image.shape[1:]
    wide = np.pad(image, ((0, 0), (radius, radius), (radius, radius)))
    total = np.zeros_like(image)
    with np.errstate(over="ignore", invalid="ignore"):
        for row in range(2 * radius + 1):
            for col in range(2 * radius + 1):
                total += wide[:, row : row + rows, col : col + cols]
    return total


def differences(input_buffers, input_profiles, params):
    """Where two images are the same, and by how much they differ; changes what it gets."""
    one, two = input_buffers
    with np.errstate(over="ignore", invalid="ignore"):
        one -= two
    return np.stack([one[0] == 0, np.abs(one[0]) > 1]).astype(np.uint8)


def extremes(input_buffers, input_profiles, params):
    """Smallest and largest magnitude, and how many pixels."""
    values = np.nan_to_num(np.abs(input_buffers[0]).astype(np.float64))
    return [float(values.min()), float(values.max()), values.size]


def merge_extremes(output_scalars, chunk_output_scalars, tile):
    """EOScale's form: in place."""
    output_scalars[0] = min(output_scalars[0], chunk_output_scalars[0])
    output_scalars[1] = max(output_scalars[1], chunk_output_scalars[1])
    output_scalars[2] += chunk_output_scalars[2]


def counted(input_buffers, input_profiles, params):
    """Values by name; a histogram among them."""
    values = input_buffers[0][input_buffers[0] != input_profiles[0]["nodata"]]
    counts, _ = np.histogram(values, params["edges"])
    return {"pixels": values.size, "total": int(values.sum(dtype=np.int64)), "counts": counts}


def add_counted(output_scalars, chunk_output_scalars, tile):
    """Both together, as a new dictionary."""
    return {name: output_scalars[name] + chunk_output_scalars[name] for name in output_scalars}


def mean_of(values, input_profiles, params):
    """What is wanted of the sums."""
    values["mean"] = values["total"] / values["pixels"]
    values["width"] = input_profiles[0]["width"]
    return values


def corner(input_buffers, input_profiles, params):
    """The first pixel of a piece, as a number that is no list."""
    return int(input_buffers[0][0, 0, 0])


def corners(output_scalars, chunk_output_scalars, tile):
    """Not associative: which pieces came, in which order, from where."""
    output_scalars[0] = f"{output_scalars[0]} {chunk_output_scalars[0]}@{tile.start_y},{tile.end_x}"


def oddities(input_buffers, input_profiles, params):
    """Values of many kinds."""
    return [
        np.float32(0.5), np.nan, np.inf, None, True, "text", np.arange(3), [1, np.nan],
        np.eye(2), {"a": np.int8(3)}, 1 + 2j, np.datetime64("2024-02-03").astype(str),
    ]  # fmt: skip


def keep(output_scalars, chunk_output_scalars, tile):
    """The first piece's."""


def fails(*arguments):
    """Whatever it is used for."""
    return np.linalg.inv(np.zeros((1, 1)))


def an_object(values, input_profiles, params):
    """Nothing that a table can hold."""
    return [object()]


def a_number(*arguments):
    """As merge function: neither in place nor a list."""
    return 3
