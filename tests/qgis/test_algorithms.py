"""What the algorithms offer, what they check before a run, and the jobs that they make of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsProcessing,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QUrl

from eoscale_engine.catalogue import declarations
from eoscale_engine.errors import OutputError, TileError
from eoscale_engine.parameter_kinds import File, Table
from eoscale_qgis.algorithms.definition import definitions
from eoscale_qgis.algorithms.destinations import check_destinations
from eoscale_qgis.algorithms.engine_algorithm import EngineAlgorithm
from eoscale_qgis.algorithms.parameters import with_chosen_texts
from eoscale_qgis.algorithms.recipe import LOAD_INTO_MEMORY, SAVE_IMAGE, plain_text, recipe_of
from tests.qgis.helpers import read_pixels, write_image

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
EXPECTED = {
    "bandmath", "focalstatistics", "gaussian", "rasterstatistics", "histogram", "pythonfilter",
    "pythonreduction", "loadintomemory", "saveimage", "freememory", "samplescene",
}  # fmt: skip


def run(name, **parameters):
    return processing.run(f"eoscale:{name}", parameters)


def focal(image, output=TEMPORARY, **parameters):
    return run("focalstatistics", INPUT=image, OUTPUT=output, **parameters)["OUTPUT"]


def refusal(name, **parameters):
    with pytest.raises(QgsProcessingException) as caught:
        run(name, **parameters)
    return str(caught.value)


# ---- what is offered


def test_every_declaration_is_an_algorithm(provider):
    names = {algorithm.name() for algorithm in provider.algorithms()}
    assert names >= EXPECTED
    assert names - {"loadintomemory", "saveimage", "freememory"} == set(declarations()) - {"copy"}


def test_algorithms_are_complete(provider):
    for algorithm in provider.algorithms():
        assert re.fullmatch("[a-z0-9]+", algorithm.name())
        assert algorithm.displayName()
        assert algorithm.group()
        assert algorithm.tags()
        assert re.fullmatch("[a-z0-9]+", algorithm.groupId())
        assert Path(algorithm.svgIconPath()).stem != "provider", algorithm.group()
        assert not algorithm.icon().isNull()
        page, name = algorithm.helpUrl().split("#")
        assert name == algorithm.name()
        help_page = Path(QUrl(page).toLocalFile()).read_text(encoding="utf-8")
        assert f'<h2 id="{name}">' in help_page
        text = algorithm.shortHelpString()
        assert not re.search(r"<[a-zA-Z/]|``|:\w+:`", text), algorithm.name()
        for parameter in algorithm.parameterDefinitions():
            assert re.fullmatch("[A-Z0-9_]+", parameter.name())
            assert parameter.help(), (algorithm.name(), parameter.name())
            assert parameter.description() in text
        assert algorithm.create().name() == algorithm.name()


def test_no_parameter_hides_another(provider):
    recipes = [recipe_of(declaration) for declaration in declarations().values()]
    for recipe in (*recipes, LOAD_INTO_MEMORY, SAVE_IMAGE):
        names = [definition.name() for definition in definitions(recipe)]
        assert len(names) == len(set(names)), (recipe.name, names)


def test_every_field_is_a_parameter_with_its_default(provider):
    for name, declaration in declarations().items():
        algorithm = provider.algorithm(name)
        if algorithm is None:
            continue
        for item in declaration.parameters():
            definition = algorithm.parameterDefinition(item.name.upper())
            if definition.isDestination():
                continue
            assert definition is not None, (name, item.name)
            default = item.default
            if isinstance(item.kind, Table):
                default = [cell for row in default or () for cell in row]
            elif isinstance(item.kind, File):
                default = None
            elif isinstance(default, tuple):
                default = item.kind.as_text(default)
            assert definition.defaultValue() == default
        for number, _ in declaration.numbers:
            assert algorithm.outputDefinition(number.upper()) is not None


def test_defaults_go_through_unchanged(provider, engines, image):
    focal(image)
    expected = declarations()["focalstatistics"]()
    assert engines[0].jobs[0]["parameters"] == dataclasses.asdict(expected)


def test_help_is_plain_text():
    doc = """First ``code`` of :class:`a.b.Profile`
    on two lines.

    Notes
    -----
    - one
    - two
    """
    assert plain_text(doc) == ["First code of Profile on two lines.", "Notes\n- one\n- two"]


def test_help_shows_formulas_in_the_dialog_and_in_the_terminal(provider, monkeypatch):
    algorithm = provider.algorithm("histogram")
    assert "start &lt;= x &lt; end" in algorithm.shortHelpString()
    monkeypatch.setattr(QgsApplication, "platform", lambda: "qgis_process")
    assert "start <= x < end" in algorithm.shortHelpString()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("median filter", "focalstatistics"),
        ("band arithmetic", "bandmath"),
        ("decibel", "bandmath"),
        ("qa bits", "maskimage"),
        ("layerstack", "stack"),
        ("clip", "saveimage"),
        ("clip", "loadintomemory"),
        ("clip by mask", "maskimage"),
        ("extract values to points", "zonalstatistics"),
    ],
)
def test_what_people_search_for(provider, words, name):
    algorithm = provider.algorithm(name)
    assert any(words in tag.lower() for tag in algorithm.tags())


def test_a_name_that_is_no_parameter(provider, image, feedback):
    asked = {"INPUT": image, "RADUIS": 3, "foo": 1, "OUTPUT": TEMPORARY}
    processing.run("eoscale:focalstatistics", asked, feedback=feedback)
    assert [text for text in feedback.warnings if "no parameter" in text] == [
        "RADUIS is no parameter of 'Focal statistics' and has no effect. Did you mean RADIUS?",
        "foo is no parameter of 'Focal statistics' and has no effect.",
    ]


def test_the_dialog_offers_tif_alone(provider, context):
    # what QGIS asks of the provider, in the words of its own version
    definition = provider.algorithm("slope").parameterDefinition("OUTPUT")
    assert set(re.findall(r"\*\.(\w+)", definition.createFileFilter())) <= {"tif", "tiff"}
    assert definition.defaultFileExtension() == "tif"
    assert provider.isSupportedOutputValue("/of/a.tif", definition, context)[0]
    assert not provider.isSupportedOutputValue("/of/a.png", definition, context)[0]


def test_formats_that_qgis_4_offers_and_takes(provider, engines, image, tmp_path, monkeypatch):
    offered = provider.supportedOutputRasterLayerFormatAndExtensions()
    assert offered == [("GTiff", "tif"), ("COG", "tif")]
    assert set(provider.supportedOutputRasterLayerExtensions()) == {"tif"}
    monkeypatch.setattr(
        EngineAlgorithm, "parameterAsOutputRasterFormat", lambda *_: "COG", raising=False
    )
    run("saveimage", INPUT=image, OUTPUT=str(tmp_path / "out.tif"))
    assert engines[0].jobs[0]["outputs"]["OUTPUT"]["format"] == "COG"


# ---- values


@pytest.mark.parametrize("value", ["mode", 99, "99", True])
def test_a_choice_that_is_not_there(provider, image, value):
    told = refusal("focalstatistics", INPUT=image, STATISTIC=value, OUTPUT=TEMPORARY)
    assert f"'Statistic' cannot be '{value}'. Use one of: mean, sum" in told


@pytest.mark.parametrize("kind", [int, str])
def test_a_choice_by_its_number(provider, engines, image, kind):
    definition = provider.algorithm("focalstatistics").parameterDefinition("STATISTIC")
    place = definition.options().index("maximum")
    focal(image, STATISTIC=kind(place))
    assert engines[0].jobs[0]["parameters"]["statistic"] == "maximum"


def test_texts_of_choices_are_left_alone(provider):
    algorithm = provider.algorithm("focalstatistics")
    assert with_chosen_texts(algorithm, {"STATISTIC": "sum", "RADIUS": 2}) == {
        "STATISTIC": "sum", "RADIUS": 2,
    }  # fmt: skip


def test_an_optional_number_that_is_not_given_stays_away(provider, engines, image):
    run("histogram", INPUT=image, LOWER=0)
    parameters = engines[0].jobs[0]["parameters"]
    assert parameters["lower"] == 0.0
    assert parameters["upper"] is None


@pytest.mark.parametrize("seed", [-1, 2**31 + 5, "-5000000001", 2**62 + 1])
@pytest.mark.parametrize("name", ["samplepixels", "kmeans"])
def test_any_whole_number_is_a_seed(provider, engines, image, name, seed):
    inputs = {"INPUTS": [image]} if name == "samplepixels" else {"INPUT": image}
    run(name, **inputs, SEED=seed, OUTPUT=TEMPORARY)
    assert engines[0].jobs[0]["parameters"]["seed"] == int(seed)


def test_the_declaration_refuses_before_the_run(provider, engines, image):
    assert "less than the upper" in refusal("histogram", INPUT=image, LOWER=5, UPPER=1)
    assert not engines


# ---- inputs


def test_bands_in_the_given_order(provider, engines, tmp_path):
    image = write_image(tmp_path / "bands.tif", bands=3)
    focal(image, BANDS=[3, 1])
    focal(image)
    first, second = (engine_job["inputs"]["INPUT"][0] for engine_job in engines[0].jobs)
    assert first == {"path": image, "bands": [3, 1], "label": "bands", "crs": None}
    assert second["bands"] is None


def test_a_band_that_is_not_there(provider, image):
    assert "layer 'image' has 1 band" in refusal(
        "focalstatistics", INPUT=image, BANDS=[4], OUTPUT=TEMPORARY
    )


def python_filter(images, tmp_path, **parameters):
    code = tmp_path / "code.py"
    code.write_text("def f(b, p, q):\n    return b[0]\n")
    values = {"INPUTS": images, "FILE": str(code), "FUNCTION": "f", "OUTPUT": TEMPORARY}
    return {**values, **parameters}


@pytest.mark.parametrize(
    ("given", "bands"),
    [
        ("3,1", [3, 1]),
        (" 2 ; 1", [2, 1]),
        ("2", [2]),
        ("", None),
        (None, None),
        ([3, 1], [3, 1]),
        (["2"], [2]),
        (3, [3]),
        ([], None),
    ],
)
def test_bands_from_every_image(provider, engines, tmp_path, given, bands):
    images = [write_image(tmp_path / f"{name}.tif", bands=3) for name in "ab"]
    run("pythonfilter", **python_filter(images, tmp_path, BANDS=given))
    job = engines[0].jobs[0]
    assert [source["bands"] for source in job["inputs"]["INPUTS"]] == [bands, bands]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1,x", "'1,x'. Write band numbers"),
        ("1,,2", "Write band numbers"),
        ("1 2", "Write band numbers"),
        ("1,3", "layer 'few' has 2 bands"),
        ("0", "Band 0 is not there"),
    ],
)
def test_bands_that_cannot_be_from_every_image(provider, engines, tmp_path, given, words):
    images = [write_image(tmp_path / "many.tif", bands=3)]
    images.append(write_image(tmp_path / "few.tif", bands=2))
    assert words in refusal("pythonfilter", **python_filter(images, tmp_path, BANDS=given))
    assert not engines


def test_band_math_names_its_bands_itself(provider):
    def offers(name):
        return provider.algorithm(name).parameterDefinition("BANDS") is not None

    assert [offers(name) for name in ("bandmath", "pythonfilter", "pythonreduction")] == [
        False, True, True,
    ]  # fmt: skip


def test_a_job_has_the_declarations_own_parameters_alone(provider):
    recipes = [recipe_of(declaration) for declaration in declarations().values()]
    for recipe in (*recipes, LOAD_INTO_MEMORY, SAVE_IMAGE):
        sent = {*(item.name for item in recipe.parameters), *recipe.switches}
        kind = declarations()[recipe.job]
        assert sent == {field.name for field in dataclasses.fields(kind)}


def test_a_path_that_is_no_raster(provider, tmp_path):
    (tmp_path / "text.tif").write_text("not a raster")
    for path in (tmp_path / "text.tif", tmp_path / "nowhere.tif"):
        assert "INPUT" in refusal("focalstatistics", INPUT=str(path), OUTPUT=TEMPORARY)


@pytest.mark.parametrize(
    ("difference", "changed"),
    [
        ("sizes 12 x 10 and 13 x 10 pixels", {"size": (13, 10)}),
        ("CRS EPSG:32631 and EPSG:32632", {"epsg": 32632}),
        ("extents", {"origin": (500005, 4600000)}),
        ("extents", {"cell": 20.0}),
    ],
)
def test_grids_that_differ(provider, engines, tmp_path, image, difference, changed):
    other = write_image(tmp_path / "other.tif", **changed)
    message = refusal("bandmath", INPUTS=[image, other], EXPRESSIONS="im1+im2", OUTPUT=TEMPORARY)
    assert "'image' and 'other'" in message
    assert difference in message
    assert "ALIGN" in message
    assert not engines
    run("bandmath", INPUTS=[image, other], EXPRESSIONS="im1+im2", OUTPUT=TEMPORARY, ALIGN="cubic")
    assert engines[0].jobs[0]["align"] == "cubic"


def test_grids_that_are_the_same(provider, engines, tmp_path, image):
    other = write_image(tmp_path / "other.tif", origin=(500000.01, 4600000))
    run("bandmath", INPUTS=[image, other], EXPRESSIONS="im1+im2", OUTPUT=TEMPORARY)
    job = engines[0].jobs[0]
    assert [source["label"] for source in job["inputs"]["INPUTS"]] == ["image", "other"]
    assert job["align"] == ""


# ---- extent


def test_extent_in_the_first_images_crs(provider, engines, image):
    focal(image, EXTENT="500020,500060,4599940,4599980 [EPSG:32631]")
    assert engines[0].jobs[0]["extent"] == [500020, 4599940, 500060, 4599980]
    focal(image, EXTENT="3.0002,3.0008,41.5510,41.5514 [EPSG:4326]")
    xmin, ymin, xmax, ymax = engines[0].jobs[1]["extent"]
    assert 500000 < xmin < xmax < 500120
    assert 4599900 < ymin < ymax < 4600000


def test_extent_beside_the_image(provider, engines, image):
    message = refusal("focalstatistics", INPUT=image, EXTENT="0,1,0,1", OUTPUT=TEMPORARY)
    assert "do not meet" in message
    assert "'image'" in message
    flat = "500020,500020,4599940,4599980"
    assert "is empty" in refusal("focalstatistics", INPUT=image, EXTENT=flat, OUTPUT=TEMPORARY)
    assert not engines


# ---- destinations


def test_output_that_is_an_input(provider, engines, image, tmp_path):
    link = tmp_path / "link.tif"
    link.symlink_to(image)
    for path in (image, str(link)):
        assert "one of the inputs" in refusal("focalstatistics", INPUT=image, OUTPUT=path)
    assert read_pixels(image).shape == (10, 12)
    assert not engines


def test_destinations_that_cannot_be(provider, engines, image, tmp_path):
    for path, words in (
        (tmp_path / "nowhere" / "out.tif", "is not there"),
        (tmp_path / "out.jpg", "End the name in .tif"),
    ):
        assert words in refusal("focalstatistics", INPUT=image, OUTPUT=str(path))
    (tmp_path / "folder.tif").mkdir()
    assert "is a folder" in refusal(
        "focalstatistics", INPUT=image, OUTPUT=str(tmp_path / "folder.tif")
    )
    path = str(tmp_path / "nowhere" / "values.json")
    assert "is not there" in refusal("rasterstatistics", INPUT=image, OUTPUT_JSON=path)
    assert not engines


def test_a_file_that_is_written(provider, engines, image, tmp_path):
    path = str(tmp_path / "out.tif")
    assert focal(image, path, FORMAT="COG", COMPRESS="ZSTD") == path
    assert engines[0].jobs[0]["outputs"] == {
        "OUTPUT": {"path": path, "keep": "file", "format": "COG", "compress": "ZSTD"}
    }
    assert QgsRasterLayer(path).isValid()
    assert len(provider.results) == 0


def test_save_image_writes_a_file_even_where_temporary(provider, engines, image):
    path = run("saveimage", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    assert engines[0].jobs[0]["declaration"] == "copy"
    assert not Path(path).is_symlink()


def test_load_into_memory_writes_no_file(provider, engines, image, tmp_path):
    path = run("loadintomemory", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    assert Path(path).is_symlink()
    message = refusal("loadintomemory", INPUT=image, OUTPUT=str(tmp_path / "out.tif"))
    assert "Save image" in message


# ---- the run


def test_a_scene_needs_no_input(provider, engines):
    assert "EXTENT" not in [
        d.name() for d in provider.algorithm("samplescene").parameterDefinitions()
    ]
    found = run("samplescene", ELEVATION=TEMPORARY)
    job = engines[0].jobs[0]
    assert job["inputs"] == {}
    assert list(job["outputs"]) == list(found) == ["ELEVATION"]
    parameters = job["parameters"]
    assert [parameters[name] for name in ("elevation", "optical", "sar")] == [True, False, False]
    assert Path(found["ELEVATION"]).is_symlink()
    assert QgsRasterLayer(found["ELEVATION"]).isValid()


def test_a_run_that_would_make_nothing(provider, engines):
    assert "at least one" in refusal("samplescene")
    assert not engines
    recipe = recipe_of(declarations()["focalstatistics"])
    with pytest.raises(OutputError, match=r"would make nothing: choose an output for .*OUTPUT"):
        check_destinations(recipe, {}, [])


def test_the_log(provider, image, feedback):
    processing.run(
        "eoscale:focalstatistics", {"INPUT": image, "OUTPUT": TEMPORARY}, feedback=feedback
    )
    assert "The plan: 1 tile." in feedback.infos
    assert feedback.warnings == ["A warning."]
    assert feedback.progress() == 50


def test_an_error_of_the_engine_is_the_message(provider, engines, image):
    focal(image)
    engines[0].error = TileError("The function failed on tile 3.")
    message = refusal("focalstatistics", INPUT=image, OUTPUT=TEMPORARY)
    assert message == "The function failed on tile 3."
    assert len(provider.results) == 1


def test_cancel(provider, engines, image, feedback):
    focal(image)
    engines[0].seconds = 10
    feedback.progressChanged.connect(lambda *_: None)
    feedback.cancel()
    with pytest.raises(QgsProcessingException, match="Cancelled"):
        processing.run(
            "eoscale:focalstatistics", {"INPUT": image, "OUTPUT": TEMPORARY}, feedback=feedback
        )
    assert len(provider.results) == 1


def test_users_code_needs_an_engine_process(provider, engines, image, monkeypatch):
    algorithm = provider.algorithm("pythonfilter")
    assert algorithm.canExecute()[0]
    focal(image)
    monkeypatch.setattr(engines[0], "inline", "No interpreter was found.", raising=False)
    assert algorithm.canExecute() == (False, "No interpreter was found.")
    assert provider.algorithm("gaussian").canExecute()[0]


# ---- values


def test_summary_as_table_numbers_and_files(provider, image, tmp_path):
    found = run(
        "rasterstatistics",
        INPUT=image,
        OUTPUT=str(tmp_path / "table.gpkg"),
        OUTPUT_JSON=str(tmp_path / "values.json"),
        OUTPUT_HTML=str(tmp_path / "report.html"),
    )
    assert (found["VALID"], found["MEAN"], found["MAXIMUM"]) == (12, 1.5, float("inf"))
    assert found["SUM"] is None
    table = QgsVectorLayer(found["OUTPUT"], "table")
    types = {field.name(): field.typeName() for field in table.fields()}
    assert types["band"] == "Integer64"
    assert types["mean"] == "Real"
    assert types["name"] == "String"
    rows = [[row["name"], row["mean"]] for row in table.getFeatures()]
    assert rows[0] == ["red", 1.5]
    assert len(rows) == 2
    assert '"MEAN": 1.5' in Path(found["OUTPUT_JSON"]).read_text()
    assert "image" in Path(found["OUTPUT_HTML"]).read_text()


def test_infinite_values_reach_the_table(provider, image, context):
    found = processing.run(
        "eoscale:rasterstatistics", {"INPUT": image, "OUTPUT": "memory:"}, context=context
    )
    rows = [row.attributes() for row in found["OUTPUT"].getFeatures()]
    assert rows[0][3] == float("inf")
    assert rows[1][3] == 7


def test_nothing_asked_for_but_numbers(provider, image):
    found = run("rasterstatistics", INPUT=image)
    assert "OUTPUT" not in found
    assert found["VALID"] == 12


def test_layers_of_the_project_go_in_by_name(provider, engines, image):
    layer = QgsRasterLayer(image, "my elevation")
    QgsProject.instance().addMapLayer(layer)
    focal(layer)
    assert engines[0].jobs[0]["inputs"]["INPUT"][0]["label"] == "my elevation"
    assert gdal.Open(engines[0].jobs[0]["inputs"]["INPUT"][0]["path"]) is not None


def test_numbers_and_matrices_may_come_as_lists(provider, engines, image):
    run("convolution", INPUT=image, WEIGHTS=[[0, 1, 0], [1, 4, 1], [0, 1, 0]], OUTPUT=TEMPORARY)
    run("percentiles", INPUT=image, PERCENTILES=[5, 95])
    jobs = [job for engine in engines for job in engine.jobs]
    assert jobs[0]["parameters"]["weights"] == [[0, 1, 0], [1, 4, 1], [0, 1, 0]]
    assert jobs[1]["parameters"]["percentiles"] == [5, 95]


def test_small_numbers_can_be_typed(provider):
    definition = provider.algorithm("spectralindex").parameterDefinition("REFLECTANCE_SCALE")
    assert definition.metadata()["widget_wrapper"]["decimals"] == 9


def test_a_list_s_item_is_one_line():
    text = "Heading\n\n- one that\n  goes on\n- two\n\nEnd of\nit."
    assert plain_text(text) == ["Heading", "- one that goes on\n- two", "End of it."]
