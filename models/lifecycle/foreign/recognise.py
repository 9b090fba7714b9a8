"""Whose model it is and what it gives: by its metadata first, then by the names and shapes of its outputs.

What is not understood is refused: a model that is read wrongly answers "nothing found".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.lifecycle.foreign.exported import Exported, names_in
from models.package import Task

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

Form = Literal[
    "yolo", "yolo_end_to_end", "yolo_masks", "probabilities", "logits", "many_logits", "boxes_labels_scores",
    "class_maps", "class_map_logits", "anomaly",
]  # fmt: skip
"""What the outputs are, hence what has to be added so that a decoder can read them (adapt.py)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the person who imports says, where the file does not: class names, the good class, the input's size."""

    classes: tuple[str, ...] = ()
    good: str | None = None
    side: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """family: for people. mean, std: of pixels 0 to 255, in the colour order. size: width and height."""

    family: str
    task: Task
    form: Form
    classes: tuple[str, ...]
    size: tuple[int, int]
    good: str | None = None
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (255.0, 255.0, 255.0)
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def recognise(model: Exported, given: Given) -> Recognised:
    """Try each family in turn. Raises ModelRejected where none fits, or where the one that fits lacks something."""
    for attempt in _FAMILIES:
        found = attempt(model, given)
        if found is not None:
            return found
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in model.outputs.items())
    cure = "known are Ultralytics, anomalib, Geti and Model API, torchvision Faster R-CNN, Vision Transformer exports"
    raise model.refusal("outputs", shapes, f"this model is of no family that is understood: {cure}")


def _ultralytics(model: Exported, given: Given) -> Recognised | None:
    task, names = model.said.get("task", ""), names_in(model.said.get("names", ""))
    if not (task and names and "stride" in model.said):
        return None
    family = f"Ultralytics {task} {model.said.get('version', '')}".strip()
    shapes = list(model.outputs.values())
    first = shapes[0]
    notes = (
        "trained on letterboxed pictures; the station stretches frames: choose a region with the input's proportions",
    )
    size = _size(model, given)
    if task == "detect" and len(first) == 3 and first[1] == 4 + len(names):
        return Recognised(family, "detect", "yolo", names, size, notes=notes)
    if task == "detect" and len(first) == 3 and first[2] == 6:
        return Recognised(family, "detect", "yolo_end_to_end", names, size, notes=notes)
    if task == "classify" and len(first) == 2 and first[1] == len(names):
        return Recognised(family, "classify", "probabilities", names, size, _good(model, names, given))
    if task == "segment" and len(shapes) == 2 and len(shapes[1]) == 4 and first[1] == 4 + len(names) + shapes[1][1]:
        return Recognised(family, "segment", "yolo_masks", names, size, notes=notes)
    cure = "only detect, classify and segment are understood, exported with nms=False or as end-to-end"
    raise model.refusal("task, outputs", f"{task} {[list(s) for s in shapes]}", cure)


def _model_api(model: Exported, given: Given) -> Recognised | None:
    kind = model.said.get("model_info.model_type", "")
    if not kind:
        return None
    said = {key.partition(".")[2]: value for key, value in model.said.items() if key.startswith("model_info.")}
    names = tuple(name.replace("_", " ") for name in names_in(said.get("labels", ""))) or given.classes
    size = _size(model, given)
    colour: Literal["rgb", "bgr"] = (
        "rgb" if said.get("reverse_input_channels", "").lower() in ("yes", "true") else "bgr"
    )
    mean, std = _numbers(said.get("mean_values"), 0.0), _numbers(said.get("scale_values"), 1.0)
    common: dict[str, Any] = {"size": size, "colour": colour, "mean": mean, "std": std}
    family = f"Model API {kind}"
    match kind.lower():
        case "classification":
            many = said.get("multilabel", "").lower() in ("yes", "true")
            form: Form = (
                "probabilities" if _ends_in(model, "Softmax", "Sigmoid") else "many_logits" if many else "logits"
            )
            return Recognised(family, "classify", form, names, good=_good(model, names, given), **common)
        case "segmentation":
            classes = names[1:] if names and names[0].lower() in ("background", "no object") else names
            form = "class_maps" if _ends_in(model, "Softmax") else "class_map_logits"
            return Recognised(family, "segment", form, classes, **common)
        case "anomalydetection" | "anomaly":
            scale = float(said.get("normalization_scale", 1.0)) or 1.0
            middle = float(said.get("image_threshold", 0.5))
            output = {"score_offset": middle - 0.5 * scale, "score_scale": 1 / scale}
            return Recognised(family, "anomaly", "anomaly", given.classes or ("anomaly",), output=output, **common)
        case "ssd" | "maskrcnn":
            return Recognised(family, "detect", "boxes_labels_scores", names, **common)
        case _:
            cure = "understood are Classification, Segmentation, AnomalyDetection, ssd and MaskRCNN (as boxes)"
            raise model.refusal("rt_info model_info.model_type", kind, cure)


def _anomalib(model: Exported, given: Given) -> Recognised | None:
    if not {"anomaly_map", "pred_score"} <= model.outputs.keys():
        return None
    notes = ("scores are taken as normalised by the export, with its threshold at 0.5",)
    classes = given.classes or ("anomaly",)
    if len(classes) != 1:
        raise model.refusal("classes", ", ".join(classes), "an anomaly model finds one type: name one class")
    bare = _bare(model)
    return Recognised(
        "anomalib",
        "anomaly",
        "anomaly",
        classes,
        _size(model, given),
        mean=IMAGENET_MEAN if bare else (0.0,) * 3,
        std=IMAGENET_STD if bare else (255.0,) * 3,
        notes=notes,
    )


def _faster_rcnn(model: Exported, given: Given) -> Recognised | None:
    if set(model.outputs) != {"boxes", "labels", "scores"}:
        return None
    if not given.classes:
        raise model.refusal(
            "classes", "", "torchvision writes no class names: name them in order, without the background"
        )
    return Recognised("torchvision Faster R-CNN", "detect", "boxes_labels_scores", given.classes, _size(model, given))


def _transformer(model: Exported, given: Given) -> Recognised | None:
    shapes = list(model.outputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 2:
        return None
    if not given.classes:
        cure = f"the file names no classes: name its {shapes[0][1]} classes in order"
        raise model.refusal("classes", "", cure)
    if len(given.classes) != shapes[0][1]:
        raise model.refusal("classes", len(given.classes), f"the graph gives {shapes[0][1]}: name them all in order")
    hub = model.input_name == "pixel_values"
    mean, std = ((127.5,) * 3, (127.5,) * 3) if hub else (IMAGENET_MEAN, IMAGENET_STD)
    form: Form = "probabilities" if _ends_in(model, "Softmax") else "logits"
    family = "Vision Transformer" if hub else "classifier through ONNX"
    note = f"pixels are normalised with mean {mean} and std {std}: compare with the training"
    good = _good(model, given.classes, given)
    return Recognised(
        family, "classify", form, given.classes, _size(model, given), good, mean=mean, std=std, notes=(note,)
    )


_FAMILIES: Sequence[Callable[[Exported, Given], Recognised | None]] = (
    _ultralytics, _model_api, _anomalib, _faster_rcnn, _transformer,
)  # fmt: skip


def _size(model: Exported, given: Given) -> tuple[int, int]:
    """Width and height: as the person says, as the graph has them, or as the metadata has them."""
    shape = model.graph.inputs[0].get_partial_shape()
    if shape.rank.is_static and len(shape) in (3, 4):
        height, width = shape[len(shape) - 2], shape[len(shape) - 1]
        if height.is_static and width.is_static:
            fixed = (width.get_length(), height.get_length())
            if given.side is not None and given.side != fixed:
                raise model.refusal("size", given.side, f"the graph takes {fixed[0]} x {fixed[1]} and nothing else")
            return fixed
    stated = names_in(model.said.get("imgsz", ""))
    if given.side is not None:
        return given.side
    if len(stated) == 2:
        return int(stated[1]), int(stated[0])
    raise model.refusal("input", str(shape), "the size is not fixed: say which (--size WIDTHxHEIGHT)")


def _good(model: Exported, names: Sequence[str], given: Given) -> str:
    if given.good in names:
        return str(given.good)
    if given.good is None:
        for name in names:
            if name.lower() in ("good", "ok", "normal", "free", "no defect"):
                return name
    raise model.refusal("good class", given.good, f"which class is a good part? Name one of {', '.join(names)}")


def _numbers(text: str | None, default: float) -> tuple[float, ...]:
    values = tuple(float(word) for word in (text or "").replace(",", " ").strip("[]").split())
    return values if len(values) == 3 else (values[0] if values else default,) * 3


def _ends_in(model: Exported, *kinds: str) -> bool:
    return model.graph.get_results()[0].input_value(0).get_node().get_type_name().lower() in [k.lower() for k in kinds]


def _bare(model: Exported) -> bool:
    """Whether the graph normalises nothing by itself: its first step on the picture is a convolution."""
    steps = list(model.graph.inputs[0].get_target_inputs())
    return bool(steps) and steps[0].get_node().get_type_name() == "Convolution"
