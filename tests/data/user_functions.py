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
