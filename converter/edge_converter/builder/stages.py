"""The stages of a build that are kept: every step, the conversion, the evaluation."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge_converter.builder.float_models import COMPRESSION_STEPS, float_models
from edge_converter.builder.packing import in_turns, manifest_and_golden
from edge_converter.builder.record import evaluation_entry
from edge_converter.builder.repair import Candidate
from edge_converter.builder.stage_cache import StageCache, key
from edge_converter.datasets import Dataset
from edge_converter.datasets.model_input import ModelInput
from edge_converter.models import build_model, fingerprint
from edge_converter.quantize.job import ConversionJob
from edge_converter.quantize.to_tflite import calibration_samples, convert_model
from edge_converter.recipe.loading import Recipe
from edge_converter.steps.common import StepResult
from edge_converter.steps.distill import distill, find_teacher
from edge_converter.steps.train import train
from edge_converter.training.checkpoints import Checkpoints
from edge_converter.weights import weights_key
from edge_sdk.data.samples import LabelledImages, Sample
from edge_sdk.documents.build import BuildStage
from edge_sdk.engines import AUTO, open_engine
from edge_sdk.evaluation.classification import evaluate_images
from edge_sdk.events import Event, Listener
from edge_sdk.inference.recognizer import Recognizer

_LEARNT_FROM = ("seed", "task", "input", "sequence", "model", "train", "augment")
"""Parts of a recipe that decide what a step learns, beside its own table."""


class BuildStages:
    """Makes what a build of `data` in `folder` needs, each once: what is there already, made from
    the same inputs, is reused (stage_cache.py). A recipe and its repairs share one.
    """

    def __init__(
        self,
        data: Dataset,
        folder: Path,
        cache: StageCache,
        build_teacher: Callable[[Recipe], Path],
        listen: Listener,
    ) -> None:
        """folder: of the build: its checkpoints and its log. build_teacher: builds the recipe of a
        teacher, and returns its .keras file.
        """
        self._data, self._folder, self._build_teacher = data, folder, build_teacher
        self._listen = listen
        self._cache = cache

    @property
    def record(self) -> list[BuildStage]:
        """[{name, seconds, cached}] in the order run."""
        return self._cache.record

    def make(self, recipe: Recipe, label: str = "") -> Candidate:
        """Run the recipe's steps and convert the model. label: keeps the stages of a repair apart.

        Raises ConfigError, DataError, ModelError, TrainingError and FileError, as the steps do.
        """
        steps = self._steps(recipe)
        return Candidate(recipe, steps, self._convert(recipe, steps, label))

    def verify(self, candidate: Candidate, part: str = "test", label: str = "") -> Path:
        """Evaluate the model and its float models on a part of the data, as a device would: the
        folder with {NAME}.json and {NAME}-right.npy (bool, (n,)) of each.
        """
        data = self._data

        def evaluate(folder: Path) -> None:
            images = LabelledImages(data.labels, getattr(data, part), part)
            for name in ("model", *float_models(candidate.recipe)):
                model = (candidate.converted / f"{name}.tflite").read_bytes()
                manifest, _ = manifest_and_golden(candidate.recipe, data, model)
                with open_engine(AUTO, model) as engine:
                    found = evaluate_images(
                        Recognizer(manifest.interface, data.labels, engine), images
                    )
                (folder / f"{name}.json").write_text(
                    json.dumps(evaluation_entry(found, len(model)))
                )
                np.save(folder / f"{name}-right.npy", found.right)

        name = label + ("verify" if part == "test" else f"verify_{part}")
        return self._run(name, [candidate.converted.name, self._order(part), data.labels], evaluate)

    def forget_checkpoints(self) -> None:
        """Remove them, once everything is made, repairs too: a killed step looks for its own."""
        shutil.rmtree(self._folder / "checkpoints", ignore_errors=True)

    def _steps(self, recipe: Recipe) -> dict[str, Path]:
        """The recipe's steps in their order, a stage each, which starts from the one before: {step:
        its model.keras}. What starts from a trained file has that first, as "".
        """
        whole = recipe.as_dict()
        common = [
            {table: whole.get(table) for table in _LEARNT_FROM} | {"balance": recipe.data.balance},
            {part: self._order(part) for part in ("train", "val")},
            self._data.labels,
            [fingerprint(recipe), weights_key(recipe)],
        ]
        models: dict[str, Path] = {}
        unpruned: Path | None = None
        if not recipe.steps or recipe.steps[0] in COMPRESSION_STEPS:
            models[""] = self._start(recipe, common)
        for step in recipe.steps:
            inputs = [*common, *(path.parent.name for path in models.values())]
            source = list(models.values())[-1] if models else None
            unpruned = source if step == "prune" else unpruned
            if step == "train":
                run: Callable[..., StepResult] = train
            elif step == "distill":
                teacher = find_teacher(
                    recipe, self._data, build_teacher=self._build_teacher, unpruned=unpruned
                )
                inputs += [whole["distill"], hashlib.sha256(teacher.read_bytes()).hexdigest()]
                run = partial(distill, teacher=teacher, student=source)
            else:
                inputs += [whole[step]]
                if step == "qat":  # where its ranges start from, and the grids of dense layers
                    inputs += [recipe.quantize.calibration_samples, recipe.target.engine]
                run = partial(getattr(_module(step), step), source=source)
            models[step] = self._step(run, recipe, step, inputs)
        return models

    def _step(self, run: Callable[..., StepResult], recipe: Recipe, name: str, inputs: Any) -> Path:
        checkpoints = Checkpoints(self._folder / "checkpoints", key(name, inputs))

        def make(folder: Path) -> None:
            if name == recipe.steps[0]:
                self._check(recipe)
            found = run(
                recipe,
                self._data,
                target=folder / "model.keras",
                checkpoints=checkpoints,
                listen=self._listen,
            )
            (folder / "step.json").write_text(json.dumps(found.as_dict()))

        folder = self._run(name, inputs, make)
        if name in COMPRESSION_STEPS:  # what it did, and that smaller is not always faster
            note = json.loads((folder / "step.json").read_text())["note"]
            self._listen(Event("note", name, note))
        return folder / "model.keras"

    def _check(self, recipe: Recipe) -> None:
        """Let each compression step check the network: not after an hour of training."""
        checks = [_module(step).check for step in recipe.steps if step in COMPRESSION_STEPS]
        if checks:
            model = self._new_model(recipe)
            import keras  # after TensorFlow, which that has loaded quietly

            for check in checks:
                check(recipe, model)
            keras.utils.clear_session()  # or the layers of the next one would be named "conv2d_1"

    def _new_model(self, recipe: Recipe) -> Any:
        return build_model(
            recipe, ModelInput.of(recipe, self._data.train).shape, len(self._data.labels)
        )

    def _start(self, recipe: Recipe, inputs: Any) -> Path:
        """The trained file that the recipe starts from, once it is known to fit."""

        def make(folder: Path) -> None:
            self._new_model(recipe).save(folder / "model.keras")

        return self._run("start", inputs, make) / "model.keras"

    def _convert(self, recipe: Recipe, steps: Mapping[str, Path], label: str) -> Path:
        train = self._data.train

        def make(folder: Path) -> None:
            agreement = convert_model(
                conversion_job(recipe, train),
                list(steps.values())[-1],
                calibration_samples(train, recipe.quantize.calibration_samples, recipe.seed),
                in_turns(self._data.val),
                folder,
                self._folder / "convert.log",
                {name: steps[step] for name, step in float_models(recipe).items()},
                gated=True,
            )
            text = json.dumps({name: found.as_dict() for name, found in agreement.items()})
            (folder / "agreement.json").write_text(text)

        made = [model.parent.name for model in steps.values()]
        settings = {k: v for k, v in recipe.as_dict()["quantize"].items() if k != "repair"}
        return self._run(f"{label}convert", [made, settings], make)

    def _run(self, name: str, inputs: Any, make: Callable[[Path], None]) -> Path:
        folder = self._cache.run(name, inputs, make)
        last = self._cache.record[-1]
        message = "reused" if last["cached"] else f"{last['seconds']:.1f} s"
        self._listen(Event("note", name, message))
        return folder

    def _order(self, part: str) -> list[str]:
        """The images of a part with their labels, in order: what training depends on."""
        return [f"{image.sha256} {image.target}" for image in getattr(self._data, part)]


def conversion_job(recipe: Recipe, samples: Sequence[Sample]) -> ConversionJob:
    """The conversion that a recipe asks for. samples: any of its data."""
    settings = recipe.quantize
    return ConversionJob(
        ModelInput.of(recipe, samples),
        settings.mode,
        settings.io,
        settings.calibration,
        settings.float_layers,
        recipe.model.name,
        recipe.folder,
    )


def _module(step: str) -> ModuleType:
    """steps/`step`.py."""
    return importlib.import_module(f"edge_converter.steps.{step}")
