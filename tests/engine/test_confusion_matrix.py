"""The confusion matrix against published ones and scikit-learn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    jaccard_score,
    precision_recall_fscore_support,
)

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError, InputWarning
from eoscale_engine.procedures.confusion_matrix import ConfusionMatrix
from eoscale_engine.profile import Affine, Band, Profile
from eoscale_engine.tiling import Window
from tests.engine.procedure_runs import Image, Made, image


def compared(
    classification: Image,
    reference: Optional[Image] = None,
    polygons: Optional[Path] = None,
    extent: Any = None,
    workers: int = 0,
    **parameters: Any,
) -> Made:
    with EOContextManager(workers, inline=not workers, tile_pixels=3000) as context:
        roles = {}
        for role, one in (("INPUT", classification), ("REFERENCE", reference)):
            if one is not None:
                roles[role] = context.create_image(one.profile)
                context.get_array(roles[role])[:] = one.pixels
        if polygons is not None:
            roles["POLYGONS"] = context.open_polygons(str(polygons))
        return Made([], context.run(ConfusionMatrix(**parameters), roles, extent=extent).summary)


def images_of(matrix: Any, classes: Any, dtype: str = "uint8") -> tuple[Image, Image]:
    """Classification and reference, of one row, that have this matrix (rows: reference)."""
    counts = np.asarray(matrix)
    rows, cols = np.indices(counts.shape)
    reference, found = (
        np.asarray(classes, dtype)[np.repeat(places.ravel(), counts.ravel())].reshape(1, 1, -1)
        for places in (rows, cols)
    )
    return image(found), image(reference)


def matrix_of(made: Made) -> list[list[int]]:
    classes = [row["class"] for row in made.rows()]
    return [[row[f"as_{value}"] for value in classes] for row in made.rows()]


# Congalton 1991, table 1, with the classification in rows: deciduous, conifer, agriculture, shrub
CONGALTON = np.array([[65, 4, 22, 24], [6, 81, 5, 8], [0, 11, 85, 19], [4, 7, 3, 90]]).T


def test_a_published_matrix() -> None:
    made = compared(*images_of(CONGALTON, (1, 2, 3, 4)))
    assert matrix_of(made) == CONGALTON.tolist()
    percent = [
        (round(100 * row["producers_accuracy"]), round(100 * row["users_accuracy"]))
        for row in made.rows()
    ]
    # 65 / 75, 81 / 103, 85 / 115, 90 / 141 and 65 / 115, 81 / 100, 85 / 115, 90 / 104
    assert percent == [(87, 57), (79, 81), (74, 74), (64, 87)]
    assert round(100 * made.summary.numbers["OVERALL_ACCURACY"]) == 74
    assert round(made.summary.numbers["KAPPA"], 2) == 0.65
    assert made.summary.numbers["COMPARED"] == 434


def by_scikit_learn(true: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    classes = sorted(set(true.tolist()) | set(found.tolist()))
    matrix = confusion_matrix(true, found, labels=classes)
    reference, classified = matrix.sum(axis=1), matrix.sum(axis=0)
    # 1.2 has no other way to say that a class without pixels has no accuracy
    users, producers, f1, _ = precision_recall_fscore_support(
        true, found, labels=classes, zero_division=0
    )
    iou = jaccard_score(true, found, labels=classes, average=None)
    return {
        "matrix": matrix.tolist(),
        "class": classes,
        "reference": reference.tolist(),
        "classified": classified.tolist(),
        "correct": matrix.diagonal().tolist(),
        "producers_accuracy": [x if n else None for x, n in zip(producers, reference)],
        "users_accuracy": [x if n else None for x, n in zip(users, classified)],
        "f1": f1.tolist(),
        "iou": iou.tolist(),
        "OVERALL_ACCURACY": accuracy_score(true, found),
        "KAPPA": cohen_kappa_score(true, found),
        "MACRO_F1": f1.mean(),
        "MEAN_IOU": iou.mean(),
    }


def check(made: Made, true: np.ndarray, found: np.ndarray) -> None:
    """Tables to the last bit, save F1, which scikit-learn makes of rounded accuracies."""
    wanted = by_scikit_learn(true, found)
    assert matrix_of(made) == wanted.pop("matrix")
    for name, value in wanted.items():
        if name.isupper():
            assert made.summary.numbers[name] == pytest.approx(value, rel=1e-12)
        else:
            expected = pytest.approx(value, rel=1e-14) if name == "f1" else value
            assert [row[name] for row in made.rows()] == expected, name
    assert made.summary.numbers["COMPARED"] == true.size


@pytest.mark.parametrize(
    ("dtype", "other"),
    [("uint8", "uint8"), ("int16", "float32"), ("float64", "int64"), ("uint64", "int8")],
)
@pytest.mark.parametrize("extent", [None, Window(20, 500, 300, 90)])
def test_images_of_several_cells(dtype: str, other: str, extent: Any) -> None:
    random = np.random.default_rng(3)
    true = random.integers(1, 9, (1, 530, 700))
    found = np.where(random.random(true.shape) < 0.7, true, random.integers(4, 12, true.shape))
    holes = random.random((2, *true.shape)) > 0.1
    made = compared(
        image(found.astype(dtype), holes[0]), image(true.astype(other), holes[1]), extent=extent
    )
    both = holes[0] & holes[1]
    if extent is not None:
        true, found, both = (array[(slice(None), *extent.slices)] for array in (true, found, both))
    check(made, true[both], found[both])
    assert made.summary.numbers["INVALID"] == (~both).sum()
    assert all(type(row["class"]) is int for row in made.rows())


def test_classes_of_one_image_alone() -> None:
    made = compared(*images_of([[5, 1, 0], [0, 0, 0], [2, 0, 0]], (1, 2, 7)))
    one, two, seven = made.rows()
    assert (two["reference"], two["producers_accuracy"], two["users_accuracy"]) == (0, None, 0)
    assert (seven["classified"], seven["producers_accuracy"], seven["users_accuracy"]) == (
        0, 0, None
    )  # fmt: skip
    assert (two["f1"], two["iou"], one["iou"]) == (0, 0, 5 / 8)
    assert made.summary.charts[0].values == ((5, 1, 0), (0, 0, 0), (2, 0, 0))


def test_one_class_has_no_kappa() -> None:
    numbers = compared(*images_of([[5]], (1,))).summary.numbers
    assert numbers["KAPPA"] is None
    assert numbers["OVERALL_ACCURACY"] == numbers["MACRO_F1"] == numbers["MEAN_IOU"] == 1


def test_the_uncertainty() -> None:
    """Wilson's interval for 81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I)."""
    numbers = compared(*images_of([[80, 100], [82, 1]], (1, 2))).summary.numbers
    assert round(numbers["ACCURACY_LOWER"], 4) == 0.2553
    assert round(numbers["ACCURACY_UPPER"], 4) == 0.3662
    share = 81 / 263
    assert numbers["STANDARD_ERROR"] == pytest.approx((share * (1 - share) / 263) ** 0.5)


def test_ignored_values_bands_and_names() -> None:
    found = np.array([[[9, 9, 9, 9, 9]], [[0, 1, 2, 2, 1]]], "uint8")
    true = np.array([[[1, 1, 2, 0, 5]]], "float32")
    bands = [Band(), Band(categories=("none", "water", "wood"), scale=3.0)]
    made = compared(image(found, bands=bands), image(true), band=2, ignored=(0, 5.0))
    assert matrix_of(made) == [[1, 0], [0, 1]]
    assert [row["name"] for row in made.rows()] == ["water", "wood"]
    assert made.summary.numbers["IGNORED"] == 3
    with pytest.raises(InputError, match="band 2"):
        compared(image(found), image(true), reference_band=2)


def test_nothing_to_compare() -> None:
    pixels = np.ones((1, 4, 5), "float32")
    valid = np.zeros(pixels.shape, bool)
    made = compared(image(pixels, valid), image(pixels))
    assert made.rows() == []
    assert made.summary.numbers["COMPARED"] == made.summary.numbers["CLASSES"] == 0
    assert made.summary.numbers["INVALID"] == 20
    assert made.summary.numbers["OVERALL_ACCURACY"] is None
    assert made.summary.numbers["KAPPA"] is None
    assert any("No pixel" in note for note in made.summary.notes)


def test_infinite_and_many_values() -> None:
    pixels = np.array([[[np.inf, -np.inf, np.nan, 1.5]]], "float32")
    made = compared(image(pixels), image(pixels))
    assert [row["class"] for row in made.rows()] == [-np.inf, 1.5, np.inf]
    many = image(np.arange(600, dtype="int16").reshape(1, 20, 30))
    made = compared(many, many)
    assert len(made.rows()) == 600
    assert not made.summary.charts
    assert any("no matrix" in note for note in made.summary.notes)


# ---------------------------------------------------------------- polygons


SIDE = 10.0
"""Of a pixel in metres; the images' upper left corner lies at 0, 0."""


def classification(rows: int, cols: int) -> Image:
    pixels = np.random.default_rng(8).integers(0, 4, (1, rows, cols)).astype("uint8")
    bands = (Band(nodata=0),)
    profile = Profile(cols, rows, "uint8", bands, None, Affine(SIDE, 0, 0, 0, -SIDE, 0))
    return Image(pixels, pixels > 0, profile)


def boxes(folder: Path, found: Any) -> Path:
    """Rectangles of whole pixels (first row, first column, rows, columns) with a class."""
    features = []
    for (row, col, rows, cols), value in found:
        x, y = (col * SIDE, (col + cols) * SIDE), (-row * SIDE, -(row + rows) * SIDE)
        ring = [[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]], [x[0], y[0]]]
        features.append(
            {
                "type": "Feature",
                "properties": {"class": value},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    path = folder / "boxes.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


BOXES = [((500, 3, 40, 600), 1), ((530, 500, 30, 50), 3), ((2, 2, 5, 5), 2), ((0, 0, 9, 9), 5)]


@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("extent", [None, Window(490, 90, 60, 520)])
def test_polygons_that_overlap_over_several_cells(tmp_path: Path, kind: Any, extent: Any) -> None:
    one = classification(600, 700)
    path = boxes(tmp_path, [(box, kind(value)) for box, value in BOXES])
    made = compared(one, polygons=path, field="class", extent=extent)
    window = extent or Window(0, 0, 600, 700)
    true, found = [], []
    for box, value in BOXES:
        part = one.pixels[0][Window(*box).intersection(window).slices]
        true += [value] * part.size
        found += part.ravel().tolist()
    right = np.array(found) > 0
    check(made, np.array(true)[right], np.array(found)[right])
    assert made.summary.numbers["INVALID"] == (~right).sum()
    outside = any("or empty: 2 of 4." in note for note in made.summary.notes)
    assert outside == (extent is not None)


def test_polygons_with_two_workers(tmp_path: Path) -> None:
    one, path = classification(600, 700), boxes(tmp_path, BOXES)
    inline = compared(one, polygons=path, field="class", ignored=(3,))
    assert repr(compared(one, polygons=path, field="class", ignored=(3,), workers=2)) == repr(
        inline
    )


def test_labels_that_are_missing_or_no_classes(tmp_path: Path) -> None:
    one = classification(40, 40)
    path = boxes(tmp_path, [((1, 1, 9, 9), "2"), ((20, 20, 9, 9), None), ((5, 20, 3, 3), " ")])
    made = compared(one, polygons=path, field="class")
    part = one.pixels[0, 1:10, 1:10]
    check(made, np.full(81, 2)[part.ravel() > 0], part[part > 0])
    assert made.summary.numbers["INVALID"] == (part == 0).sum()
    assert "Polygons without a class: 2 of 3." in made.summary.notes
    for label in ("forest", 1.5):
        path = boxes(tmp_path, [((1, 1, 9, 9), label)])
        with pytest.raises(InputError, match=f"holds '{label}', which is no class"):
            compared(one, polygons=path, field="class")


def test_all_touched(tmp_path: Path) -> None:
    one = classification(40, 40)
    one.pixels[:] = 1
    path = boxes(tmp_path, [((1.4, 1.4, 3, 3), 1)])
    for touched, pixels in ((False, 9), (True, 16)):
        made = compared(one, polygons=path, field="class", all_touched=touched)
        assert made.summary.numbers["COMPARED"] == pixels


def test_polygons_without_pixels_or_field(tmp_path: Path) -> None:
    one = classification(40, 40)
    path = boxes(tmp_path, [((100, 100, 9, 9), 1)])
    with pytest.warns(InputWarning, match="None of the features .* lies on the image"):
        made = compared(one, polygons=path, field="class")
    assert made.rows() == []
    assert made.summary.numbers["COMPARED"] == 0
    with pytest.raises(InputError, match="Field of the class"):
        compared(one, polygons=path)
    with pytest.raises(InputError, match="no field 'code'"):
        compared(one, polygons=path, field="code")


def test_points_are_the_pixels_that_hold_them(tmp_path: Path) -> None:
    """Also those that Sample pixels makes, with the class that they have in a stratum."""
    one = classification(40, 60)
    random = np.random.default_rng(6)
    places = [(int(row), int(col)) for row, col in random.integers(0, (40, 60), (30, 2))]
    within = random.uniform(0.01, 0.99, (30, 2))
    groups = [places[:10], places[10:11], places[11:]]  # several points of one feature, too
    pixels, valid = one.pixels[0], one.valid[0]
    features, done = [], 0
    counts: Counter[tuple[int, int]] = Counter()
    for group, label in zip(groups, (2, 1, 3)):
        points = [
            [(col + dx) * SIDE, -(row + dy) * SIDE]
            for (row, col), (dx, dy) in zip(group, within[done:])
        ]
        done += len(group)
        geometry = {"type": "MultiPoint", "coordinates": [*points, points[0]]}
        if len(points) == 1:
            geometry = {"type": "Point", "coordinates": points[0]}
        features.append(
            {"type": "Feature", "properties": {"class": float(label)}, "geometry": geometry}
        )
        for place in set(group):
            if valid[place]:
                counts[label, int(pixels[place])] += 1
    path = tmp_path / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    for touched in (False, True):
        made = compared(one, polygons=path, field="class", all_touched=touched)
        found = {
            (row["class"], other): row[f"as_{other}"]
            for row in made.rows()
            for other in (item["class"] for item in made.rows())
        }
        assert {pair: count for pair, count in found.items() if count} == dict(counts)


def test_exactly_one_reference(tmp_path: Path) -> None:
    one = classification(40, 40)
    with pytest.raises(InputError, match="give one of them"):
        compared(one)
    with pytest.raises(InputError, match="not both"):
        compared(one, one, boxes(tmp_path, BOXES), field="class")
