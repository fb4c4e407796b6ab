"""How long images in memory live: layers, contexts, models, settings, the session."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import (
    QgsApplication,
    QgsLayerDefinition,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsReadWriteContext,
)
from qgis.PyQt.QtCore import QMimeData
from qgis.PyQt.QtXml import QDomDocument

from eoscale_engine.errors import Cancelled, MemoryBudgetError
from eoscale_qgis import places
from eoscale_qgis import results as results_module
from eoscale_qgis.settings import Settings
from tests.qgis.helpers import read_pixels, settle

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT


def run(image, output=TEMPORARY, context=None, name="eoscale:focalstatistics"):
    return processing.run(name, {"INPUT": image, "OUTPUT": output}, context=context)["OUTPUT"]


def loaded(path):
    layer = QgsRasterLayer(path, "loaded")
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_temporary_result_is_a_link_to_the_image_in_memory(provider, engines, image):
    path = run(image)
    assert os.path.islink(path)
    assert os.path.dirname(os.path.realpath(path)) == engines[0].folder
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) + 1)
    layer = QgsRasterLayer(path, "result")
    assert layer.isTemporary()


def test_released_after_the_last_layer_with_what_gdal_left(provider, engines, image):
    path = run(image)
    first, second = loaded(path), loaded(path)
    Path(path + ".aux.xml").write_text("<PAMDataset/>")
    Path(path + ".ovr").write_bytes(b"")
    QgsProject.instance().removeMapLayer(first.id())
    settle()
    assert os.path.exists(path)
    assert len(provider.results) == 1
    QgsProject.instance().removeMapLayer(second.id())
    settle()
    assert engines[0].released == ["image1-OUTPUT"]
    assert not os.path.lexists(path)
    assert not os.path.exists(path + ".aux.xml")
    assert not os.path.exists(path + ".ovr")
    assert len(provider.results) == 0
    assert os.listdir(engines[0].folder) == []


def test_a_script_goes_on_with_a_path_after_its_context_is_gone(provider, engines, image):
    second = run(run(image))
    np.testing.assert_array_equal(read_pixels(second), read_pixels(image) + 2)
    assert len(provider.results) == 2


def test_a_dialog_that_does_not_open_its_result(provider, engines, image):
    context = QgsProcessingContext()
    path = run(image, QgsProcessingOutputLayerDefinition(TEMPORARY), context)
    assert os.path.exists(path)
    del context
    settle()
    assert not os.path.lexists(path)
    assert engines[0].released


def test_a_layer_keeps_what_its_context_would_release(provider, engines, image):
    context = QgsProcessingContext()
    path = run(image, QgsProcessingOutputLayerDefinition(TEMPORARY), context)
    layer = loaded(path)
    del context
    settle()
    assert os.path.exists(path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert not os.path.lexists(path)


def test_a_context_keeps_what_its_layers_let_go(provider, engines, image):
    context = QgsProcessingContext()
    path = run(image, QgsProcessingOutputLayerDefinition(TEMPORARY), context)
    QgsProject.instance().removeMapLayer(loaded(path).id())
    settle()
    assert os.path.exists(path)
    del context
    settle()
    assert not os.path.lexists(path)


def test_a_result_to_open_is_named_and_lives_with_its_layer(provider, engines, image, context):
    definition = QgsProcessingOutputLayerDefinition(TEMPORARY, QgsProject.instance())
    path = run(image, definition, context)
    details = context.layersToLoadOnCompletion()
    assert [item.name for item in details.values()] == ["Focal statistics: image"]
    layer = loaded(path)
    del context
    settle()
    assert os.path.exists(path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert not os.path.lexists(path)


def test_a_repointed_layer_lets_go(provider, engines, image):
    path = run(image)
    layer = loaded(path)
    layer.setDataSource(image, "elsewhere", "gdal")
    settle()
    assert not os.path.lexists(path)
    assert engines[0].released


def test_clearing_the_project_releases_everything(provider, engines, image):
    for _ in range(2):
        loaded(run(image))
    QgsProject.instance().clear()
    settle()
    assert len(engines[0].released) == 2
    assert os.listdir(engines[0].folder) == []


WITH_GDAL = ("eoscale:focalstatistics", "gdal:translate", "eoscale:focalstatistics")


def model_of_three(algorithms):
    """A model in which each algorithm takes what the one before made."""
    model = QgsProcessingModelAlgorithm("three", "tests")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("INPUT"), QgsProcessingModelParameter("INPUT")
    )
    source = QgsProcessingModelChildParameterSource
    previous = source.fromModelParameter("INPUT")
    for child_id, algorithm in zip(("one", "two", "three"), algorithms):
        child = QgsProcessingModelChildAlgorithm(algorithm)
        child.setChildId(child_id)
        child.addParameterSources("INPUT", [previous])
        if child_id == "three":
            output = QgsProcessingModelOutput("final", "final")
            output.setChildId(child_id)
            output.setChildOutputName("OUTPUT")
            child.setModelOutputs({"final": output})
        model.addChildAlgorithm(child)
        previous = source.fromChildOutput(child_id, "OUTPUT")
    model.updateDestinationParameters()
    model.initAlgorithm()
    return model


def run_model(image, algorithms=WITH_GDAL):
    """Its results, and the path of its last step's."""
    model = model_of_three(algorithms)
    # Named "three:final" or "final", as the version of QGIS has it.
    (output,) = (definition.name() for definition in model.destinationParameterDefinitions())
    found = processing.run(model, {"INPUT": image, output: TEMPORARY})
    settle()
    return found, found[output]


def test_a_model_releases_what_lies_between(provider, engines, image):
    found, path = run_model(image)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) + 2)
    assert engines[0].released == ["image1-OUTPUT"]
    assert not os.path.lexists(found["CHILD_RESULTS"]["one"]["OUTPUT"])
    layer = loaded(path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert engines[0].released == ["image1-OUTPUT", "image2-OUTPUT"]


def test_without_links_the_image_lies_in_the_temporary_folder(
    provider, engines, image, monkeypatch
):
    monkeypatch.setattr(places, "links_work", lambda path: False)
    path = run(image)
    assert engines[0].jobs[0]["outputs"]["OUTPUT"]["keep"] == "folder"
    assert os.path.isfile(path)
    assert not os.path.islink(path)
    layer = loaded(path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert engines[0].released
    assert not os.path.lexists(path)


def test_memory_can_be_switched_off(provider, engines, image):
    Settings(keep_in_memory=False).write()
    path = run(image)
    assert not os.path.islink(path)
    assert len(provider.results) == 0
    loaded_path = run(image, name="eoscale:loadintomemory")
    assert os.path.islink(loaded_path)


def test_changed_settings_start_a_new_engine_and_keep_the_old_images(provider, engines, image):
    path = run(image)
    layer = loaded(path)
    Settings(workers=3).write()
    run(image)
    assert [engine.options.workers for engine in engines] == [0, 3]
    assert not engines[0].closed
    assert read_pixels(path) is not None
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert engines[0].closed
    assert not engines[1].closed


def test_an_unused_engine_goes_when_the_settings_change(provider, engines, image, tmp_path):
    run(image, str(tmp_path / "one.tif"))
    Settings(workers=3).write()
    run(image, str(tmp_path / "two.tif"))
    assert engines[0].closed
    assert not engines[1].closed


def test_the_session_ends_with_nothing_left(provider, engines, image):
    path = run(image)
    provider.close()
    assert engines[0].closed
    assert not os.path.lexists(path)
    assert not os.path.exists(engines[0].folder)


def test_an_image_that_a_run_reads_stays_until_it_is_done(provider, engines, image):
    path = run(image)
    layer = loaded(path)
    with provider.results.in_use([path]):
        QgsProject.instance().removeMapLayer(layer.id())
        settle()
        assert os.path.exists(path)
    assert not os.path.lexists(path)


def test_export_makes_it_permanent(provider, engines, image, tmp_path):
    layer = loaded(run(image))
    pipe, target = QgsRasterPipe(), str(tmp_path / "permanent.tif")
    pipe.set(layer.dataProvider().clone())
    writer = QgsRasterFileWriter(target)
    error = writer.writeRaster(
        pipe, layer.width(), layer.height(), layer.extent(), layer.crs(),
        QgsProject.instance().transformContext(),
    )  # fmt: skip
    assert error == QgsRasterFileWriter.WriterError.NoError
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    np.testing.assert_array_equal(read_pixels(target), read_pixels(image) + 1)


def saved(path):
    assert QgsProject.instance().write(str(path))


def test_a_saved_project_is_reverted_and_opened_again(provider, engines, image, tmp_path):
    path, project = run(image), QgsProject.instance()
    loaded(path)
    saved(tmp_path / "shown.qgs")
    for _ in range(2):
        project.clear()
        settle()
        assert project.read(str(tmp_path / "shown.qgs"))
        (layer,) = project.mapLayers().values()
        assert layer.isValid()
        np.testing.assert_array_equal(read_pixels(layer.source()), read_pixels(image) + 1)
    project.clear()
    project.setFileName("")
    saved(tmp_path / "another.qgs")
    assert os.path.exists(path)
    saved(tmp_path / "shown.qgs")  # no project file shows it any more
    assert not os.path.lexists(path)
    assert engines[0].released


def copied(layer):
    """What *Copy Layer* does."""
    document = QDomDocument("qgis-layer-definition")
    QgsLayerDefinition.exportLayerDefinition(
        document, [QgsProject.instance().layerTreeRoot().findLayer(layer)], QgsReadWriteContext()
    )
    data = QMimeData()
    data.setData("application/qgis.maplayer", document.toByteArray())
    QgsApplication.clipboard().setMimeData(data)


def test_a_copied_layer_is_pasted_after_it_was_removed(provider, engines, image):
    path = run(image)
    layer = loaded(path)
    copied(layer)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert QgsRasterLayer(path, "pasted").isValid()
    QgsApplication.clipboard().setText("something else")
    settle()
    assert not os.path.lexists(path)
    assert engines[0].released


def look_twice(results):
    for _ in range(2):
        results.look()
    for thread in threading.enumerate():
        if thread.name == "eoscale to disk":
            thread.join(5)


def test_what_only_a_script_has_leaves_memory_within_a_minute(provider, engines, image):
    paths = [run(image) for _ in range(4)]
    Path(paths[0] + ".aux.xml").write_text("<PAMDataset/>")
    shown = loaded(paths[3])
    assert 2 * results_module.LOOK_SECONDS < 60
    look_twice(provider.results)
    assert engines[0].released == [f"image{number}-OUTPUT" for number in (1, 2, 3)]
    assert provider.results.usage().result_bytes == engines[0].memory() == 480
    assert os.path.exists(paths[0] + ".aux.xml")
    for path in paths:
        np.testing.assert_array_equal(read_pixels(path), read_pixels(image) + 1)
    layer = loaded(paths[1])
    for gone in (shown, layer):
        QgsProject.instance().removeMapLayer(gone.id())
    settle()
    assert engines[0].released[3:] == ["image4-OUTPUT", "image2-OUTPUT-on-disk"]
    assert not os.path.lexists(paths[1])


def test_what_is_used_stays_in_memory(provider, engines, image):
    path = run(image)
    context = QgsProcessingContext()
    run(image, QgsProcessingOutputLayerDefinition(TEMPORARY), context)
    with provider.results.in_use([path]):
        look_twice(provider.results)
    provider.results.look()
    assert engines[0].released == []


def test_work_inside_qgis_keeps_nothing_for_reuse_either(provider, engines, image):
    run(image)
    look_twice(provider.results)
    assert engines[0].dropped == 0
    engines[0].inline = "No Python was found."
    look_twice(provider.results)
    assert engines[0].dropped == 2


def test_where_no_link_can_be_made_it_stays_in_memory(provider, engines, image, monkeypatch):
    paths = [run(image) for _ in range(2)]
    made = results_module.link

    def link(face, path):
        if path == paths[0]:
            raise OSError("No space left on device")
        made(face, path)

    monkeypatch.setattr(results_module, "link", link)
    look_twice(provider.results)
    assert engines[0].released == ["image1-OUTPUT-on-disk", "image2-OUTPUT"]
    for path in paths:
        np.testing.assert_array_equal(read_pixels(path), read_pixels(image) + 1)


def test_without_room_on_disk_it_stays_in_memory(provider, engines, image):
    path = run(image)
    engines[0].error = MemoryBudgetError("No room.")
    look_twice(provider.results)
    assert engines[0].released == []
    assert read_pixels(path) is not None


def test_an_output_that_is_made_anew_gives_back_the_old_one(provider, engines, image):
    path = os.path.join(QgsProcessingUtils.tempFolder(), "same.tif")
    run(image, path)
    run(run(image, name="eoscale:loadintomemory"), path)
    assert engines[0].released == ["image1-OUTPUT"]
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) + 2)
    layer = loaded(path)
    run(image, path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert engines[0].released == ["image1-OUTPUT", "image3-OUTPUT", "image4-OUTPUT"]


def test_a_run_that_is_going_on_when_the_plugin_is_unloaded(provider, image):
    path = run(image)
    with provider.results.in_use([path]):
        provider.close()
    assert not os.path.lexists(path)
    with pytest.raises(Cancelled, match="unloaded"):
        provider.session.acquire()  # an engine that nobody would end


def test_free_memory(provider, engines, image, tmp_path):
    shown, unseen, of_project = run(image), run(image), run(image)
    layer = loaded(of_project)
    saved(tmp_path / "project.qgs")
    QgsProject.instance().removeMapLayer(layer.id())
    loaded(shown)
    assert str(provider.results.usage()) == (
        "3 temporary results (2 in no layer of this project), 0 MB in memory; 0 MB kept for reuse"
    )
    kept = processing.run("eoscale:freememory", {"RESULTS": False})
    assert kept == {"FREED": 0, "LEFT": pytest.approx(3 * 480 / 1e6)}
    assert engines[0].dropped == 1
    found = processing.run("eoscale:freememory", {})
    assert found == {"FREED": pytest.approx(2 * 480 / 1e6), "LEFT": pytest.approx(480 / 1e6)}
    assert not os.path.lexists(unseen) and not os.path.lexists(of_project)
    assert os.path.exists(shown)
