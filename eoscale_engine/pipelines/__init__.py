"""Chains of declarations that run as one: in Python, and as JSON without code."""

from __future__ import annotations

from eoscale_engine.pipelines.json_form import from_json, read_pipeline, to_json
from eoscale_engine.pipelines.pipeline import Pipeline
from eoscale_engine.pipelines.steps import Step

__all__ = ["Pipeline", "Step", "from_json", "read_pipeline", "to_json"]
