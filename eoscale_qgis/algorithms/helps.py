"""The help of algorithms: the dialog shows a text, ``qgis_process`` puts one together by itself."""

from __future__ import annotations

from html import escape

from qgis.core import QgsProcessingAlgorithm, QgsProcessingParameterDefinition

from eoscale_qgis.about import in_terminal
from eoscale_qgis.algorithms.recipe import plain_text


def short_help(algorithm: QgsProcessingAlgorithm, text: str) -> str:
    """The help of an algorithm with this docstring."""
    paragraphs = plain_text(text)
    if in_terminal():
        # it shows the first sentence and the parameters by itself
        return "\n\n".join(paragraphs[1:])
    helps = [f"{item.description()}: {item.help()}" for item in algorithm.parameterDefinitions()]
    # the dialog reads it as HTML and drops what follows a "<"
    return escape("\n\n".join([*paragraphs, *helps]), quote=False)


def with_default(definition: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """The parameter; in a terminal its help says what a command may leave out."""
    default, flags = definition.defaultValue(), definition.flags()
    left_out = ""
    if default not in (None, "", []):
        shown = str(default).lower() if isinstance(default, bool) else default
        left_out = f"\n\tDefault value:\t{shown}"
    elif flags & QgsProcessingParameterDefinition.Flag.FlagOptional:
        left_out = "\n\tOptional"
    if in_terminal():
        definition.setHelp(definition.help() + left_out)
    return definition
