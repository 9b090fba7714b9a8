"""Runs a packaged graph with OpenVINO. THE ONLY FILE THAT KNOWS OPENVINO at run time.

One compiled model, one request, one preset input tensor: a frame is resized straight into the tensor's memory and the
request is run synchronously on the caller's thread (a preset shared tensor costs 6 µs over the bare graph, a callback
into the event loop 115 µs; docs of the measurement: `make bench`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import InferenceFailed, ModelRejected
from models.package import InputSpec, ModelPackage
from models.telemetry import no_telemetry

with no_telemetry():
    # Where its converters' reporter is installed, the import alone would report.
    import openvino as ov

Pixels = NDArray[np.uint8]
Outputs = dict[str, NDArray[np.float32]]

AREA_FROM = 2.0
"""From this shrinking factor on small defects vanish between the samples of a linear resize; pixels are averaged."""


class Runner:
    """One model on the CPU. `load`, `warm_up`, then `infer` from one thread; `cancel` from any."""

    def __init__(
        self,
        package: ModelPackage,
        *,
        graph: str | None = None,
        threads: int = 1,
        cache_dir: Path | None = None,
    ) -> None:
        self.package = package
        self.precision = graph or package.manifest.preferred
        self._path = package.graph(graph)
        self._threads = threads
        self._cache_dir = cache_dir
        self._core: ov.Core | None = None
        self._compiled: ov.CompiledModel | None = None
        self._request: Any = None
        self._input: Pixels | None = None
        self._names: list[str] = []

    def load(self) -> None:
        """Read, check and compile the graph. Raises ModelRejected. Takes 0.1 to 2 s, half with a cache."""
        settings = self._settings()
        core = ov.Core()
        try:
            model = core.read_model(str(self._path))
            self._names = [_name_of(output, index) for index, output in enumerate(model.outputs)]
            model = _with_preprocessing(model, self.package.manifest.input)
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else "unknown"
            raise ModelRejected(str(self._path), "graph", self.precision, f"OpenVINO refuses it: {first}") from error
        spec = self.package.manifest.input
        tensor = ov.Tensor(ov.Type.u8, ov.Shape([1, spec.height, spec.width, spec.channels]))
        request: Any = compiled.create_infer_request()
        request.set_input_tensor(tensor)
        self._input = tensor.data[0]
        self._core, self._compiled, self._request = core, compiled, request

    def warm_up(self, runs: int = 3) -> None:
        """Infer on grey pixels until memory is allocated; prove that outputs are usable. Raises ModelRejected."""
        spec = self.package.manifest.input
        shape = (spec.height, spec.width) if spec.channels == 1 else (spec.height, spec.width, 3)
        for level in (128, *range(0, 256, 256 // max(1, runs - 1)))[:runs]:
            outputs = self.infer(np.full(shape, level, np.uint8))
            for name, value in outputs.items():
                if not np.isfinite(value).all():
                    raise ModelRejected(
                        str(self._path),
                        f"output {name}",
                        "not finite",
                        "the graph gives NaN or infinity: pack it again",
                    )

    def infer(self, pixels: Pixels) -> Outputs:
        """Run the model on a frame of any size: `take` and `run` in one.

        pixels: (H, W) or (H, W, 3) RGB, uint8. Returns float32 arrays by output name; they are views that the next call
        overwrites. Raises InferenceFailed. Blocks; releases the GIL while it computes.
        """
        self.take(pixels)
        return self.run()

    def take(self, pixels: Pixels) -> Pixels:
        """Resize and convert a frame into the input, (h, w, channels) u8, and show that. Raises InferenceFailed."""
        target = self._input
        if target is None:
            raise InferenceFailed("the model is not loaded")
        _fill(target, pixels, self.package.manifest.input)
        return target

    def run(self) -> Outputs:
        """Run the model on what `take` took. Raises InferenceFailed."""
        request = self._request
        if request is None:
            raise InferenceFailed("the model is not loaded")
        try:
            request.infer()
        except RuntimeError as error:
            raise InferenceFailed(f"OpenVINO: {error}") from error
        return {name: request.get_output_tensor(index).data for index, name in enumerate(self._names)}

    def cancel(self) -> None:
        """Ask a running `infer` to give up; it then raises InferenceFailed. Harmless while nothing runs.

        OpenVINO 2026.4 obeys within a few ms from two threads on. With one thread it computes on the caller's own
        thread and runs to its end: whoever cancels must not count on the time, and must discard the result.
        """
        request = self._request
        if request is not None:
            request.cancel()

    def close(self) -> None:
        """Let go in the order that OpenVINO needs: request, model, core."""
        self._input = None
        self._request = None
        self._compiled = None
        self._core = None

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": self.package.manifest.precision_hint,
            "ENABLE_CPU_PINNING": False,
        }
        if self._cache_dir is not None:
            try:
                self._cache_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                cure = f"the model cache cannot be made here ({error}): choose a folder that can be written"
                raise ModelRejected(str(self._path), "cache_dir", str(self._cache_dir), cure) from error
            settings["CACHE_DIR"] = str(self._cache_dir)
        return settings


def _name_of(output: Any, index: int) -> str:
    names = sorted(output.get_names())
    return names[0] if names else f"output{index}"


def _with_preprocessing(model: ov.Model, spec: InputSpec) -> ov.Model:
    """Let the graph take u8 NHWC pixels and normalise them itself. Raises ModelRejected for a graph that cannot."""
    if len(model.inputs) != 1:
        raise RuntimeError(f"the graph has {len(model.inputs)} inputs, 1 is wanted")
    wanted = [1, spec.channels, spec.height, spec.width]
    shape = model.input(0).get_partial_shape()
    if not shape.compatible(ov.PartialShape(wanted)):
        raise RuntimeError(f"the graph's input is {shape}, the manifest says {wanted}")
    model.reshape(wanted)
    ppp: Any = ov.preprocess.PrePostProcessor(model)  # pyright: ignore[reportGeneralTypeIssues, reportArgumentType]
    ppp.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    ppp.input().model().set_layout(ov.Layout("NCHW"))
    steps = ppp.input().preprocess()
    steps.convert_element_type(ov.Type.f32)
    if any(spec.mean):
        steps.mean(list(spec.mean))
    if any(value != 1 for value in spec.std):
        steps.scale(list(spec.std))
    for index in range(len(model.outputs)):
        ppp.output(index).tensor().set_element_type(ov.Type.f32)
    return ppp.build()


def _fill(target: Pixels, pixels: Pixels, spec: InputSpec) -> None:
    """Resize and convert a frame into the input tensor (h, w, c). Raises InferenceFailed."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InferenceFailed(f"a frame of shape {pixels.shape} and type {pixels.dtype}; u8 pixels are wanted")
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise InferenceFailed(f"a frame with {pixels.shape[2]} channels; 1 or 3 are wanted")
    if spec.channels == 1 and pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
    size = (spec.width, spec.height)
    shrink = min(pixels.shape[1] / spec.width, pixels.shape[0] / spec.height)
    how = cv2.INTER_AREA if shrink >= AREA_FROM else cv2.INTER_LINEAR
    if spec.channels == 1:
        cv2.resize(pixels, size, dst=target[:, :, 0], interpolation=how)
        return
    if pixels.ndim == 2:
        cv2.cvtColor(cv2.resize(pixels, size, interpolation=how), cv2.COLOR_GRAY2RGB, dst=target)
    elif spec.colour == "bgr":
        cv2.cvtColor(cv2.resize(pixels, size, interpolation=how), cv2.COLOR_RGB2BGR, dst=target)
    else:
        cv2.resize(pixels, size, dst=target, interpolation=how)
