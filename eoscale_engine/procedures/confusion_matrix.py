"""How right a classification is, by a reference image or labelled polygons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from eoscale_engine.declaration import (
    Engine,
    HeatMap,
    Input,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    Within,
    image,
    parameter,
    polygons,
)
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.accuracy import Comparison
from eoscale_engine.procedures.selection import ALL_TOUCHED, selection_notes
from eoscale_engine.procedures.unique_values import category
from eoscale_engine.profile import Band
from eoscale_engine.reductions.value_pairs import LabelPairs, Pairs, ValuePairs

WIDEST = 256
"""Classes that a matrix has room for: as many as an 8-bit image has values."""


@dataclass(frozen=True)
class ConfusionMatrix(Procedure):
    """Measure how right a classification is, by a reference image, labelled polygons or points.

    The matrix n(i, j) counts the pixels of reference class i that the classification has as class
    j: the reference is in the rows, the classification in the columns. With N pixels, n(i.) of
    reference class i and n(.j) classified as j:

    ``producer's accuracy (recall) = n(i, i) / n(i.)``, 1 - omission error;

    ``user's accuracy (precision) = n(i, i) / n(.i)``, 1 - commission error;

    ``F1 = 2 n(i, i) / (n(i.) + n(.i))``; ``IoU = n(i, i) / (n(i.) + n(.i) - n(i, i))``;

    ``overall accuracy p = sum n(i, i) / N``;

    ``kappa = (p - e) / (1 - e)`` with ``e = sum n(i.) n(.i) / N^2``; macro F1 and mean IoU are the
    means over all classes, each as important as the others. A class is listed if either has it in a
    pixel that is compared. What is 0 / 0 is empty, such as the producer's accuracy of a class that
    the reference lacks.

    The standard error of p is ``sqrt(p (1 - p) / N)``, and the bounds are of Wilson's interval of
    95 %. Both are of independent samples: of pixels side by side, as in polygons, they are far too
    narrow.

    The reference is an image on the same grid, or polygons or points with a field that holds the
    integers of the classes, as numbers or as text: those of Sample pixels have it in ``stratum``. A
    point is the pixel that holds it; lines are no reference. Polygons without a label do not count,
    and pixels in several polygons, or with several points, count for each. Pixels that are invalid
    in either are left out, and counted. ``ignored`` values are left out where the reference has
    them, and where the classification has them.

    Classes are the stored pixels, integers or floats, without scale and offset. With more than 256
    classes the table has no columns of the matrix. More than 250 000 pairs of values are refused.

    Sources: R. G. Congalton, "A Review of Assessing the Accuracy of Classifications of Remotely
    Sensed Data", Remote Sensing of Environment 37, 1991, pp. 35-46; E. B. Wilson, "Probable
    Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22, 1927, pp. 209-212.
    """

    name: ClassVar[str] = "confusionmatrix"
    label: ClassVar[str] = "Confusion matrix"
    group: ClassVar[str] = "Statistics"
    one_pass: ClassVar[bool] = True
    sample: ClassVar[str] = "classes"
    tags: ClassVar[tuple[str, ...]] = (
        "confusion matrix", "accuracy assessment", "error matrix", "overall accuracy", "kappa",
        "r.kappa", "computeconfusionmatrix", "producer's accuracy", "user's accuracy", "precision",
        "recall", "f1", "f-score", "iou", "jaccard", "intersection over union", "validation",
        "ground truth", "classification", "cross_classification", "omission", "commission",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image(label="Classification", band_choice=False),
        image(
            "REFERENCE",
            label="Reference image",
            help="True classes, on the same grid",
            optional=True,
            band_choice=False,
        ),
        polygons(
            "POLYGONS",
            label="Reference polygons or points",
            help="With a field of the true class; a point is the pixel that holds it",
            optional=True,
        ),
    )
    one_of: ClassVar[tuple[str, ...]] = ("REFERENCE", "POLYGONS")
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("OVERALL_ACCURACY", "Overall accuracy"),
        ("KAPPA", "Kappa"),
        ("MACRO_F1", "Macro F1"),
        ("MEAN_IOU", "Mean IoU"),
        ("STANDARD_ERROR", "Standard error of the overall accuracy"),
        ("ACCURACY_LOWER", "Lower bound of the overall accuracy (95 %)"),
        ("ACCURACY_UPPER", "Upper bound of the overall accuracy (95 %)"),
        ("CLASSES", "Number of classes"),
        ("COMPARED", "Pixels compared"),
        ("INVALID", "Pixels left out that are invalid in either"),
        ("IGNORED", "Pixels left out with ignored values"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"field": "class", "band": 2, "ignored": (0, 3), "all_touched": True},
    )

    band: int = parameter(
        1, kind="band", label="Band of the classification", help="The band that holds the classes"
    )
    reference_band: int = parameter(
        1,
        kind="band",
        role="REFERENCE",
        label="Band of the reference image",
        help="The band that holds the true classes",
    )
    field: str = parameter(
        "",
        kind="field",
        role="POLYGONS",
        label="Field of the class",
        help="Field of the polygons or points with the integer of their class",
    )
    ignored: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        label="Ignored values",
        help="Values of either that are left out, such as 0 for unclassified, separated by commas",
    )
    all_touched: bool = parameter(**ALL_TOUCHED)

    @property
    def differing(self) -> tuple[str, ...]:
        """A map agrees with itself."""
        return ("INPUT", "REFERENCE")

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count the pairs, and measure."""
        key = images["INPUT"][0]
        notes: list[str] = []
        bands = [engine.profile(key).bands[self.band - 1]]
        if images.get("REFERENCE"):
            reference = images["REFERENCE"][0]
            bands.append(engine.profile(reference).bands[self.reference_band - 1])
            pairs = ValuePairs(self.reference_band, self.band)
            found = engine.reduce(pairs, {"FIRST": [reference], "SECOND": [key]})
            labels = found.tally.values[0].tolist()
        else:
            found, labels, notes = self._in_polygons(images["POLYGONS"][0], key, engine)
        classes = map(_plain, found.tally.values[1].tolist())
        counts = dict(zip(zip(map(_plain, labels), classes), found.tally.pixels.tolist()))
        kept = {pair: n for pair, n in counts.items() if not set(pair) & set(self.ignored)}
        ignored = sum(counts.values()) - sum(kept.values())
        summary = self._summary(Comparison(kept), bands, notes, (found.invalid, ignored))
        return Result(summary=summary)

    def _in_polygons(
        self, layer: str, key: str, engine: Engine
    ) -> tuple[Pairs, list[int], list[str]]:
        """The counts, the label of each pair, and notes."""
        if not self.field:
            raise InputError(
                f"{self.label}: with polygons or points it needs the field of their class. Choose "
                "it as 'Field of the class'."
            )
        found = engine.polygons(layer, key, field=self.field, all_touched=self.all_touched)
        labels = [self._label(value) for value in found.values]
        known = sorted({label for label in labels if label is not None})
        places: dict[Optional[int], int] = {label: place for place, label in enumerate(known)}
        numbers = [places.get(label, -1) for label in labels]
        counted = engine.reduce(LabelPairs(found, numbers, self.band), {"INPUT": [key]})
        notes = selection_notes(Within(polygons=found))
        if -1 in numbers:
            notes.append(f"Polygons without a class: {numbers.count(-1)} of {len(found)}.")
        return counted, [known[number] for number in counted.tally.values[0].tolist()], notes

    def _label(self, value: Any) -> Optional[int]:
        """A polygon's class; None where it has none."""
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise InputError(
                f"{self.label}: the field '{self.field}' holds '{value}', which is no class. "
                "Classes are integers: choose or add a field with the number that each class has "
                "in the classification."
            )
        return int(text)

    def _summary(
        self,
        found: Comparison,
        bands: Sequence[Band],
        notes: Sequence[str],
        left_out: tuple[int, int],
    ) -> Summary:
        classes = found.classes
        few = len(classes) <= WIDEST
        names = [next(filter(None, (category(b, value) for b in bands)), "") for value in classes]
        rows = [
            (value, name, *found.of_class(value), *(found.row(value) if few else ()))
            for value, name in zip(classes, names)
        ]
        columns = (
            "class", "name", "reference", "classified", "correct", "producers_accuracy",
            "users_accuracy", "f1", "iou", *(f"as_{value}" for value in classes if few),
        )  # fmt: skip
        first = (
            "Rows are classes of the reference; the columns as_... count their pixels by class in "
            "the classification."
        )
        notes = [
            first if few else f"There is no matrix: these are more than {WIDEST} classes.",
            "The standard error and the bounds hold for samples that are independent.",
            *notes,
        ]
        if not found.total:
            notes.append("No pixel is compared: check nodata values, ignored values and overlap.")
        numbers = {
            **found.measures(), "CLASSES": len(classes), "COMPARED": found.total,
            "INVALID": left_out[0], "IGNORED": left_out[1],
        }  # fmt: skip
        titles = tuple(f"{v} {name}".strip() for v, name in zip(classes, names))
        chart = HeatMap(
            "Confusion matrix", "Classification", "Reference", titles, titles,
            tuple(tuple(map(float, found.row(value))) for value in classes) if few else (),
            logarithmic=True, shows_values=True,
        )  # fmt: skip
        measures = tuple((label, numbers[name]) for name, label in self.numbers)
        tables = (
            Table("Confusion matrix", columns, tuple(rows)),
            Table("Accuracy", ("measure", "value"), measures),
        )
        charts = (chart,) if few and classes else ()
        return Summary(self.label, tables, numbers, charts, tuple(notes))


def _plain(value: Any) -> Any:
    """A class as an integer where it is one, so that 1.0 and 1 are the same and read the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
