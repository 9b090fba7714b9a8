"""From labelled images to a model package."""

from models.telemetry import no_telemetry

with no_telemetry():
    # Before any module in here imports it: the import alone would report where the converters' reporter is installed.
    import openvino as _openvino  # noqa: F401  # pyright: ignore[reportUnusedImport]
