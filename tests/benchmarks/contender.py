"""One contender of side_by_side.py, in a process of its own: answers about images when asked.

Arguments: a name of CONTENDERS, the model (of `edge-sdk` the bundle), and the core to stay on. Says
"ready", then for each path on its standard input (.npy: n, height, width, 3, uint8, RGB) one line
of JSON: cpu_ns for all images, and of each the best five as [class, score].

Each imports what it needs alone. The patterns are those that the examples of these projects show,
written anew: resize the whole image to the model's size, copy it into the tensor, invoke, pick.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import numpy as np

TOP = 5

Ranking = list[tuple[int, float]]
Answer = Callable[[Any], Ranking]


def main() -> None:
    """Serve lines until there are no more."""
    name, model, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    images = cache(np.load)
    with redirect_stdout(sys.stderr):  # what libraries print is no answer
        answer = CONTENDERS[name](model)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_round(answer, images(line.strip()))), flush=True)


def _round(answer: Answer, images: Any) -> dict[str, Any]:
    answer(images[0])  # not counted: the others' turns have left the core's caches cold
    started = time.process_time_ns()
    tops = [answer(pixels) for pixels in images]
    return {"cpu_ns": time.process_time_ns() - started, "tops": tops}


def edge_sdk(bundle: str) -> Answer:
    """This project."""
    from edge_sdk import Frame
    from edge_sdk.inference.recognizer import open_recognizer

    recognizer = open_recognizer(bundle, threads=1)

    def answer(pixels: Any) -> Ranking:
        return [(found.index, found.score) for found in recognizer(Frame(pixels, "rgb")).classes]

    return answer


def mediapipe(model: str) -> Answer:
    """MediaPipe Tasks. It has no setting for threads; the core that it stays on makes it one."""
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

    options = ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model), max_results=TOP
    )
    classifier = ImageClassifier.create_from_options(options)

    def answer(pixels: Any) -> Ranking:
        found = classifier.classify(Image(ImageFormat.SRGB, pixels)).classifications[0]
        return [(category.index, category.score) for category in found.categories]

    return answer


def pil_on_litert(model: str) -> Answer:
    """As pycoral's examples do it, with PIL's LANCZOS."""
    from ai_edge_litert.interpreter import Interpreter

    return _pattern(Interpreter(model_path=model, num_threads=1), _pil)


def cv2_on_litert(model: str) -> Answer:
    """As aiymakerkit does it, with OpenCV's CUBIC."""
    import cv2
    from ai_edge_litert.interpreter import Interpreter

    cv2.setNumThreads(1)

    def resized(pixels: Any, size: tuple[int, int]) -> Any:
        return cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)

    return _pattern(Interpreter(model_path=model, num_threads=1), resized)


def pil_on_tflite_runtime(model: str) -> Answer:
    """As pycoral's examples do it, on the interpreter that pycoral needs."""
    from tflite_runtime.interpreter import Interpreter

    return _pattern(Interpreter(model_path=model, num_threads=1), _pil)


def _pil(pixels: Any, size: tuple[int, int]) -> Any:
    from PIL import Image

    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _pattern(interpreter: Any, resized: Callable[[Any, tuple[int, int]], Any]) -> Answer:
    """The model takes pixels as they are (scale 1/127.5, zero point 127): the examples' shortcut
    without arithmetic, which is the cheapest that they have.
    """
    interpreter.allocate_tensors()
    image, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    height, width = image["shape"][1:3]
    scale, zero_point = scores["quantization"]

    def answer(pixels: Any) -> Ranking:
        interpreter.tensor(image["index"])()[0][:, :] = resized(pixels, (int(width), int(height)))
        interpreter.invoke()
        stored = interpreter.get_tensor(scores["index"])[0].astype(np.int64)
        values = scale * (stored - zero_point)
        best = np.argpartition(values, -TOP)[-TOP:]
        return sorted(((int(i), float(values[i])) for i in best), key=lambda pair: -pair[1])

    return answer


CONTENDERS: dict[str, Callable[[str], Answer]] = {
    "edge-sdk": edge_sdk,
    "mediapipe": mediapipe,
    "pil-litert": pil_on_litert,
    "cv2-litert": cv2_on_litert,
    "pil-tflite-runtime": pil_on_tflite_runtime,
}

if __name__ == "__main__":
    main()
