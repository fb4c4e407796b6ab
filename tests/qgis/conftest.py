"""Fixtures: the provider over a fake engine, and small images to run it on."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from qgis.core import QgsApplication, QgsProcessingContext, QgsProject, QgsSettings

from eoscale_qgis.provider import EoscaleProvider
from eoscale_qgis.session import Session
from eoscale_qgis.settings import Settings
from tests.qgis.fake_engine import FakeClient
from tests.qgis.helpers import Feedback, settle, write_image


@pytest.fixture(autouse=True)
def clean_project(qgis_app):
    """No layer and no setting of one test reaches the next."""
    QgsSettings().remove("eoscale")
    yield
    QgsProject.instance().clear()
    settle()
    QgsSettings().remove("eoscale")


@pytest.fixture
def image(tmp_path):
    """One band of 12 x 10 pixels of 10 m."""
    return write_image(tmp_path / "image.tif")


@pytest.fixture
def engines():
    """Every fake engine that was started."""
    return []


@pytest.fixture
def provider(qgis_app, qgis_processing, engines):
    """The provider over fake engines, registered as QGIS has it."""

    def start(options):
        engines.append(FakeClient(options))
        return engines[-1]

    registry = QgsApplication.processingRegistry()
    provider = EoscaleProvider(Session(start))
    assert registry.addProvider(provider)
    yield provider
    provider.close()
    registry.removeProvider(provider)
    assert all(engine.closed for engine in engines)


@contextmanager
def real_provider():
    """The provider with an engine of its own, registered."""
    Settings(workers=2).write()
    registry = QgsApplication.processingRegistry()
    provider = EoscaleProvider()
    assert registry.addProvider(provider)
    yield provider
    provider.close()
    registry.removeProvider(provider)


@pytest.fixture
def real(qgis_app, qgis_processing):
    """The provider with its own engine."""
    with real_provider() as provider:
        yield provider


@pytest.fixture
def feedback():
    """A feedback that remembers."""
    return Feedback()


@pytest.fixture
def context():
    """A Processing context on the project."""
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    return context
