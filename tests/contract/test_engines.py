"""What every engine promises, tried on all that can be used here, real, isolated and fake."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_sdk import Engine, open_engine
from edge_sdk.engines import BACKENDS, list_engines
from edge_sdk.engines.fake import FakeEngine
from edge_sdk.engines.isolated import IsolatedEngine, probe_backend, try_model
from edge_sdk.errors import ConfigError, EdgeError, EngineError, MissingPackage, ModelError
from edge_sdk.tensors import QuantParams, TensorSpec
from edge_sdk.tflite.tiny import tiny_classifier
from waiting import children, gone, wait_until

DTYPES = ("int8", "uint8", "float32")
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}


def usable(name: str) -> bool:
    try:
        open_engine(name, tiny_classifier()).close()
    except MissingPackage:
        return False
    return True


REAL = [name for name in ("litert", "tflite-runtime") if usable(name)]
NAMES = [*REAL, *(f"isolated:{name}" for name in REAL), "fake", "isolated:fake"]
CASES = [(name, dtype) for name in NAMES for dtype in DTYPES]


def ids(case: object) -> str:
    return "-".join(case) if isinstance(case, tuple) else str(case)


def value_for(engine: Engine, seed: int = 0) -> NDArray[Any]:
    """A random input, as stored."""
    random, spec = np.random.default_rng(seed), engine.inputs[0]
    if spec.dtype == "float32":
        return random.random(spec.shape, np.float32)
    info = np.iinfo(spec.dtype)
    return random.integers(info.min, info.max, spec.shape, spec.dtype, endpoint=True)


@pytest.fixture(scope="module", params=CASES, ids=ids)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One engine for all tests that leave it as it was."""
    name, dtype = request.param
    with open_engine(name, tiny_classifier(dtype=dtype)) as opened:
        yield opened


@pytest.fixture(params=NAMES)
def fresh(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of its own for a test that ends or breaks it."""
    with open_engine(request.param, tiny_classifier()) as opened:
        yield opened


def test_tensors_are_those_of_the_model(engine: Engine) -> None:
    (image,), (scores,) = engine.inputs, engine.outputs
    assert (image.shape, scores.shape) == ((1, 4, 4, 1), (1, 3))
    assert image.dtype == scores.dtype
    zero = {"int8": -128, "uint8": 0, "float32": None}[image.dtype]
    if zero is None:
        assert image.quant is scores.quant is None
    else:
        assert image.quant == QuantParams(float(np.float32(1 / 255)), zero)
        assert scores.quant == QuantParams(1 / 256, zero)


def test_info_is_truthful_and_json(engine: Engine) -> None:
    info = engine.info
    package = PACKAGES.get(info.name)
    assert info.version == (importlib.metadata.version(package) if package else "1")
    assert (info.resolver, info.threads, info.mapped) == ("builtin", 1, None)
    assert json.loads(json.dumps(info.as_dict())) == info.as_dict()
    if info.name == "litert":
        assert info.delegate == "xnnpack"
    elif info.name == "tflite-runtime":
        assert info.delegate == ("xnnpack" if engine.inputs[0].dtype == "float32" else "none")
    else:
        assert info.delegate == "none"


def test_the_same_input_gives_the_same_output(engine: Engine) -> None:
    value = value_for(engine)
    first, *others = (engine(value)[0] for _ in range(4))
    assert all(np.array_equal(first, other) for other in others)
    assert (first.shape, first.dtype) == ((1, 3), engine.outputs[0].dtype)
    assert any(not np.array_equal(first, engine(value_for(engine, n))[0]) for n in range(1, 9))


def test_another_shape_dtype_or_number_of_inputs_is_refused(engine: Engine) -> None:
    value = value_for(engine)
    before = engine(value)[0]
    for wrong in (value[0], value.astype(np.int32), value.reshape(1, 2, 8, 1)):
        with pytest.raises(EngineError) as caught:
            engine.set_input(0, wrong)
        assert f"{engine.inputs[0].dtype}[1, 4, 4, 1]" in str(caught.value)
        assert f"{wrong.dtype}{list(wrong.shape)}" in str(caught.value)
        with pytest.raises(EngineError):
            engine(wrong)
    with pytest.raises(EngineError, match="has 1 inputs, 2 were given"):
        engine(value, value)
    assert np.array_equal(engine(value)[0], before)


def test_an_input_is_copied(engine: Engine) -> None:
    value = value_for(engine)
    wanted = engine(value)[0]
    handed = value.copy()
    engine.set_input(0, handed)
    handed[...] = 0
    engine.invoke()
    assert np.array_equal(engine.output(), wanted)


def test_fill_hands_out_the_live_tensor(engine: Engine) -> None:
    value = value_for(engine, 3)
    wanted = engine(value)[0]
    engine(value_for(engine, 4))

    def write(tensor: NDArray[Any]) -> str:
        assert (tensor.shape, tensor.dtype) == (value.shape, value.dtype)
        assert tensor.flags.writeable
        assert tensor.flags.c_contiguous
        tensor[...] = value
        return "its answer"

    assert engine.fill(0, write) == "its answer"
    engine.invoke()
    assert np.array_equal(engine.output(), wanted)


def test_what_goes_wrong_while_writing_is_the_writers(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        engine.fill(0, lambda tensor: 1 / 0)
    engine(value_for(engine))


def test_outputs_are_copies(engine: Engine) -> None:
    first = engine(value_for(engine))[0]
    kept = first.copy()
    again = engine.output()
    again[...] = 0
    assert np.array_equal(engine.output(), kept)
    engine(value_for(engine, 5))
    assert np.array_equal(first, kept)


def test_tensors_that_do_not_exist(engine: Engine) -> None:
    with pytest.raises(EngineError, match="take an input"):
        engine.fill(1, lambda tensor: None)
    with pytest.raises(EngineError, match="read an output"):
        engine.output(1)


def test_closing_twice_and_using_it_afterwards(fresh: Engine) -> None:
    value = value_for(fresh)
    fresh(value)
    fresh.close()
    fresh.close()
    for use in (
        fresh.invoke,
        fresh.output,
        lambda: fresh(value),
        lambda: fresh.set_input(0, value),
        lambda: fresh.fill(0, lambda tensor: None),
    ):
        with pytest.raises(EngineError, match="is closed"):
            use()


def test_engines_are_independent(fresh: Engine) -> None:
    name = fresh.info.name
    with open_engine(name, tiny_classifier(seed=1)) as other:
        value = value_for(fresh)
        wanted = fresh(value)[0]
        other(value_for(other, 7))
        assert np.array_equal(fresh.output(), wanted)
        assert np.array_equal(fresh(value)[0], wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("resolver", ["builtin", "builtin-without-delegates"])
def test_threads_and_resolver(name: str, resolver: Any) -> None:
    model = tiny_classifier((16, 16, 3), 10)
    with open_engine(name, model, threads=2, resolver=resolver) as engine:
        assert (engine.info.threads, engine.info.resolver) == (2, resolver)
        if resolver != "builtin":
            assert engine.info.delegate == "none"
        with open_engine(name, model, resolver=resolver) as single:
            value = value_for(engine)
            assert np.array_equal(engine(value)[0], single(value)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "model",
    [b"", b"hello, I am no model", b"\0\0\0\0TFL3", tiny_classifier()[:200], b"PK\3\4" * 99],
    ids=["empty", "text", "header", "cut off", "zip"],
)
def test_no_model_is_a_model_error(name: str, model: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        open_engine(name, model)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REAL)
def test_a_view_that_is_kept_is_an_engine_error(name: str) -> None:
    """The interpreter refuses to run while somebody holds its memory; its words do not get out."""
    kept: list[Any] = []
    with open_engine(name, tiny_classifier()) as engine:
        engine.fill(0, kept.append)
        with pytest.raises(EngineError, match=f"{name} .* could not run the model"):
            engine.invoke()
        kept.clear()
        engine.invoke()


@pytest.mark.parametrize("name", ["litert", "isolated:litert", "fake"])
def test_wrong_options(name: str) -> None:
    with pytest.raises(ConfigError, match="threads is 0"):
        open_engine(name, tiny_classifier(), threads=0)


@pytest.mark.parametrize("name", ["litrt", "isolated:litrt", "isolated:isolated:litert", ""])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown engine") as caught:
        open_engine(name, tiny_classifier())
    assert all(known in caught.value.fix for known in BACKENDS)


def test_the_fake_is_strict_and_records() -> None:
    engine: Any = open_engine("fake", tiny_classifier())
    with pytest.raises(EngineError, match="before invoke"):
        engine.output()
    with pytest.raises(EngineError, match="before every input was filled"):
        engine.invoke()
    engine(value_for(engine))
    engine.close()
    engine.close()
    assert engine.calls == ["output 0", "invoke", "fill 0", "invoke", "output 0", "close"]


def repacked(change: Callable[[Any], None]) -> bytes:
    """The tiny model with its schema objects changed."""
    model = schema.ModelT.InitFromPackedBuf(tiny_classifier(dtype="float32"), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def looks_up_weights(model: Any) -> None:
    """One GATHER: the input is the number of a row of weights, the output that row."""
    graph = model.subgraphs[0]
    image, weights, row = graph.tensors[0], graph.tensors[3], graph.tensors[5]
    image.shape, image.type, row.shape = [1], schema.TensorType.INT32, [1, 16]
    assert (weights.name, list(weights.shape)) == (b"weights", [3, 16])
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.GATHER
    gather = graph.operators[0]
    gather.inputs, gather.outputs = [3, 0], [5]
    gather.builtinOptionsType = schema.BuiltinOptions.GatherOptions
    gather.builtinOptions = schema.GatherOptionsT()
    graph.operators, graph.outputs, model.operatorCodes = [gather], [5], [code]


@pytest.mark.parametrize("name", [name for name in NAMES if "fake" not in name])
def test_a_model_that_fails_while_it_runs_is_an_engine_error(name: str) -> None:
    with open_engine(name, repacked(looks_up_weights)) as engine:
        (row,) = engine(np.array([2], np.int32))
        assert row.shape == (1, 16)
        with pytest.raises(EngineError, match=r"could not run the model: .*[Gg]ather"):
            engine(np.array([99], np.int32))
        assert np.array_equal(engine(np.array([2], np.int32))[0], row)


@pytest.mark.parametrize("change", [{"type": 5}, {"shape": [1, -4]}, {"shape": [2**31 - 1] * 4}])
def test_the_fake_refuses_inputs_that_numpy_cannot_hold(change: dict[str, Any]) -> None:
    model = repacked(lambda model: vars(model.subgraphs[0].tensors[0]).update(change))
    with pytest.raises(ModelError, match="fake cannot hold the model's inputs"):
        open_engine("fake", model)


def test_the_fake_takes_the_time_it_is_told_to() -> None:
    spec = TensorSpec("x", (1,), "bool")
    engine = FakeEngine((spec,), (spec,), invoke_s=0.05)
    started = time.monotonic()
    assert engine(np.array([True]))[0].dtype == np.bool_
    assert time.monotonic() - started >= 0.05


BLOCKED = """
import sys
sys.modules["ai_edge_litert"] = None
from edge_sdk.engines import open_engine
open_engine("litert", b"")
"""


def test_litert_itself_may_be_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False
    )
    assert "MissingPackage: engine litert needs ai-edge-litert" in done.stderr


def test_all_engines_are_listed_with_their_reason() -> None:
    found = {status.name: status for status in list_engines()}
    assert list(found) == list(BACKENDS)
    for name, status in found.items():
        assert status.usable == (name in [*REAL, "fake"])
        assert status.help
        if status.usable:
            assert status.version == (
                importlib.metadata.version(PACKAGES[name]) if name in PACKAGES else "1"
            )
        else:
            assert name in status.because
            assert "pip install" in status.fix


def test_a_missing_package_comes_with_its_command() -> None:
    if "tflite-runtime" in REAL:
        pytest.skip("tflite-runtime is installed here")
    for name in ("tflite-runtime", "isolated:tflite-runtime"):
        with pytest.raises(MissingPackage, match="needs tflite-runtime") as caught:
            open_engine(name, tiny_classifier())
        assert 'pip install "edge-sdk-core[tflite-runtime]"' in caught.value.fix


# What only isolated engines can promise: whatever happens in the child stays there.


@pytest.fixture
def child() -> Iterator[tuple[Engine, int]]:
    """An isolated engine with the process number of its child."""
    before = set(children())
    with open_engine("isolated:litert", tiny_classifier()) as engine:
        (pid,) = set(children()) - before
        yield engine, pid


def test_a_child_that_is_killed_is_an_engine_error(child: tuple[Engine, int]) -> None:
    engine, pid = child
    value = value_for(engine)
    engine(value)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(
        EngineError, match=r"litert died \(SIGKILL\) while it tried to run the model"
    ):
        engine(value)
    with pytest.raises(EngineError, match="is closed"):
        engine(value)
    assert pid not in children()


def test_a_child_that_hangs_is_given_up() -> None:
    before = set(children())
    engine = IsolatedEngine("litert", tiny_classifier(), timeout_s=0.5)
    (pid,) = set(children()) - before
    os.kill(pid, signal.SIGSTOP)
    with engine, pytest.raises(EngineError, match=r"did not run the model within 0\.5 s"):
        engine(value_for(engine))
    assert pid not in children()


def test_a_child_that_hangs_can_be_closed(child: tuple[Engine, int]) -> None:
    engine, pid = child
    os.kill(pid, signal.SIGSTOP)
    engine.close()
    assert pid not in children()


def test_ctrl_c_is_for_the_parent(child: tuple[Engine, int]) -> None:
    engine, pid = child
    os.kill(pid, signal.SIGINT)
    assert engine(value_for(engine))[0].shape == (1, 3)


def open_files() -> set[tuple[str, str]]:
    """Number and name of each open file of this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder itself, closed meanwhile
            found.add((entry.name, str(entry.readlink())))
    return found


def test_nothing_is_left_open() -> None:
    def once() -> set[tuple[str, str]]:
        with open_engine("isolated:litert", tiny_classifier()) as engine:
            engine(value_for(engine))
        with pytest.raises(ModelError):
            open_engine("isolated:litert", b"no model")
        return open_files()

    before = children()
    first, second = once(), once()
    assert second <= first
    assert children() == before


PARENT = """
import sys, time
from edge_sdk.engines import open_engine
from edge_sdk.tflite.tiny import tiny_classifier
engine = open_engine("isolated:litert", tiny_classifier())
print("opened", flush=True)
time.sleep(600)
"""


def test_the_child_ends_when_its_parent_is_killed(unmeasured: dict[str, str]) -> None:
    line = [sys.executable, "-c", PARENT]
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=unmeasured) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"opened\n"
        (pid,) = children(parent.pid)
        os.kill(pid, signal.SIGSTOP)  # it cannot even notice that nobody asks any more
        assert not gone(pid)
        parent.kill()
    wait_until(lambda: gone(pid), "the end of the child")


def test_the_child_imports_nothing_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("numpy", "json", "edge_sdk"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    code = "from edge_sdk.engines.isolated import probe_backend; print(probe_backend('litert'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == importlib.metadata.version("ai-edge-litert"), done.stderr


def test_probing_opens_a_model() -> None:
    assert probe_backend("fake") == "1"
    with pytest.raises(ConfigError):
        probe_backend("nothing")


CRASH = """
import sys
from edge_sdk.engines import open_engine
open_engine("litert", sys.stdin.buffer.read())
"""


def test_a_model_that_segfaults_its_interpreter_is_a_model_error(segfaulting_model: bytes) -> None:
    crashed = subprocess.run([sys.executable, "-c", CRASH], input=segfaulting_model, check=False)
    assert crashed.returncode == -signal.SIGSEGV, "this model no longer crashes: find another"
    for attempt in (
        lambda: try_model("litert", segfaulting_model),
        lambda: open_engine("isolated:litert", segfaulting_model),
    ):
        with pytest.raises(ModelError, match="SIGSEGV") as caught:
            attempt()
        assert "do not use this model" in caught.value.fix


def test_hostile_models_never_kill_us(shared_data: Path) -> None:
    hostile = sorted((shared_data / "hostile").glob("*.tflite"))
    assert len(hostile) >= 2
    for path in hostile:
        for name in [f"isolated:{name}" for name in [*REAL, "fake"]]:
            try:
                with open_engine(name, path.read_bytes()) as engine:
                    engine(*(np.zeros(spec.shape, spec.dtype) for spec in engine.inputs))
            except EdgeError as error:
                assert error.fix


@pytest.mark.campaign
def test_damaged_models_never_kill_us(campaign: Callable[[str, int, int], int]) -> None:
    random = np.random.default_rng(0)
    models = [tiny_classifier(dtype=dtype) for dtype in DTYPES]  # type: ignore[arg-type]
    for number in range(campaign("models", 10, 2000)):
        damaged = bytearray(models[number % 3])
        for _ in range(random.integers(1, 6)):
            damaged[random.integers(8, len(damaged))] = random.integers(256)
        try:
            info = try_model(REAL[number % len(REAL)], bytes(damaged))
        except EdgeError as error:
            assert error.fix
        else:
            assert info.name in REAL


def test_a_name_that_is_no_text_is_a_model_error() -> None:
    """It comes out of the interpreter as UnicodeDecodeError."""
    damaged = tiny_classifier().replace(b"image", b"im\xffge")
    with pytest.raises(ModelError, match="refuses the model"):
        open_engine("litert", damaged)


WITHOUT_PROC = """
from edge_sdk.engines import open_engine
from edge_sdk.tflite.tiny import tiny_classifier
print(open_engine("litert", tiny_classifier()).info.delegate)
"""


def test_without_proc_the_engine_says_that_xnnpack_is_gone() -> None:
    hide = 'mount -t tmpfs none /proc && mount -t tmpfs none /sys && exec "$@"'
    line = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hide, "sh"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*line, "true"], capture_output=True).returncode
    ):
        pytest.skip("NOT TESTED: this machine does not allow a mount namespace without /proc")
    done = subprocess.run(
        [*line, sys.executable, "-c", WITHOUT_PROC], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "none"
