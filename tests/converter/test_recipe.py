"""recipe.toml: every default as the contract lists it, every mistake named by its path."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_converter import Recipe
from edge_converter.recipe.loading import builtin_recipes, inspect, parse_setting
from edge_converter.recipe.schema import STEPS, RecipeTables
from edge_sdk.configuration import as_dict
from edge_sdk.errors import ConfigError, EdgeError, FileError, NotAvailableYet
from edge_sdk.model.interface import SequenceEntry

KeyPath = tuple[str, ...]

MIN = {"name": "doors", "data": {"source": "folder:images"}, "model": {"name": "seed_cnn"}}


def fields(table: Any = RecipeTables, path: KeyPath = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, field) of every key of the recipe."""
    hints = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from fields(hints[field.name], (*path, field.name))
        else:
            yield (*path, field.name), field


def with_value(path: KeyPath, value: Any, **more: Any) -> dict[str, Any]:
    """The least recipe with one key set."""
    data: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in MIN.items()}
    data |= more
    table = data
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
    return data


def refused(data: Any, kind: type[EdgeError] = ConfigError) -> EdgeError:
    with pytest.raises(kind) as caught:
        Recipe.parse(data)
    return caught.value


OPTIONAL = [(path, field) for path, field in fields() if field.default is not dataclasses.MISSING]
LATER = [(path, field) for path, field in OPTIONAL if field.metadata.get("later")]
WRITTEN = [(path, field) for path, field in OPTIONAL if field.default is not None]
DOTTED = [".".join(path) for path, _ in WRITTEN]
DOTTED_LATER = [".".join(path) for path, _ in LATER]


def another(value: Any, path: KeyPath) -> Any:
    """A value of the right type and range that is not the default."""
    owner: Any = RecipeTables
    for name in path[:-1]:
        owner = typing.get_type_hints(owner)[name]
    hint = typing.get_type_hints(owner)[path[-1]]
    if typing.get_origin(hint) is typing.Literal:
        return next(choice for choice in typing.get_args(hint) if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + (1 if isinstance(value, int) else 0.125)
    return {"features": [["a", "b"]], "float_layers": ["dense"], "mapped": 0.5}.get(
        path[-1], "file:other.keras"
    )


# --- the listing ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listing(repository: Path) -> str:
    text = (repository / "docs" / "contracts.md").read_text("utf-8")
    return text.split("\n## recipe.toml", 1)[1].split("```toml\n", 1)[1].split("```", 1)[0]


def test_every_default_is_the_contracts(listing: str) -> None:
    contract = tomllib.loads(listing)
    listed = {
        (section, key): value
        for section, table in contract.items()
        if isinstance(table, dict)
        for key, value in table.items()
    } | {(key,): value for key, value in contract.items() if not isinstance(value, dict)}
    listed |= {("model", "options", k): v for k, v in listed.pop(("model", "options")).items()}
    ours = {path: as_dict(field.default) for path, field in WRITTEN}
    required = {path for path, field in fields() if field.default is dataclasses.MISSING}
    assert required == {("name",), ("data", "source"), ("model", "name")}
    assert {path: value for path, value in listed.items() if path not in required} == ours
    types = {path: type(value) for path, value in listed.items() if path in ours}
    assert types == {path: type(value) for path, value in ours.items()}


def test_keys_without_a_default_are_commented_in_the_contract(listing: str) -> None:
    budget = listing.split("[budget]", 1)[1]
    none = {path for path, field in OPTIONAL if field.default is None}
    commented = set(re.findall(r"^# (\w+) = ", budget, re.MULTILINE))
    assert none == {("budget", key) for key in commented} and none


def test_choices_are_the_contracts(listing: str) -> None:
    """`mode = "int8"  # float32 | float16 | …` lists what the key takes."""
    section, checked = "", 0
    for line in listing.splitlines():
        section = found[1] if (found := re.match(r"\[(\w+)\]", line)) else section
        choice = re.match(r'(\w+) = "[\w-]*" +# ((?:[\w-]+ \| )+[\w-]+)(?=$|[ ;:])', line)
        if choice is None:
            continue
        owner: Any = typing.get_type_hints(Recipe)[section] if section else Recipe
        hint = typing.get_type_hints(owner)[choice[1]]
        if typing.get_origin(hint) is typing.Literal:
            assert set(typing.get_args(hint)) == set(choice[2].split(" | ")), (section, line)
            checked += 1
    assert checked >= 15


# --- defaults, without a copy of them ------------------------------------------------------------


@pytest.mark.parametrize(("path", "field"), WRITTEN, ids=DOTTED)
def test_a_default_may_be_written_out(path: KeyPath, field: Any) -> None:
    """Also of what is not available yet; a step's table only where the step is named."""
    if path[0] in set(STEPS) - {"train", "qat"}:
        error = refused(with_value(path, as_dict(field.default)))
        assert str(error) == f"recipe.toml: [{path[0]}] is not used"
        assert f'add "{path[0]}" to steps' in error.fix
        return
    recipe = Recipe.parse(with_value(path, as_dict(field.default)))
    assert recipe == Recipe.parse(MIN)
    assert recipe.sha256 == Recipe.parse(MIN).sha256


@pytest.mark.parametrize(("path", "field"), LATER, ids=DOTTED_LATER)
def test_what_is_not_built_yet_is_refused(path: KeyPath, field: Any) -> None:
    error = refused(with_value(path, another(field.default, path)), NotAvailableYet)
    assert f"{'.'.join(path)} = " in str(error) and "is not available yet" in str(error)


GESTURES: dict[str, Any] = {
    "task": "sequence",
    "data": {"source": "csv:a.csv"},
    "model": {"name": "features"},
}


def test_there_is_something_not_built_yet() -> None:
    assert {"budget.mapped", "target.engine"} <= set(DOTTED_LATER)


@pytest.mark.parametrize("steps", [[], ["qat"], ["prune", "distill"]])
def test_what_compresses_needs_a_trained_model(steps: list[str]) -> None:
    distill = {"teacher": "recipe:digits_seed"} if "distill" in steps else None
    more = {"steps": steps} | ({"distill": distill} if distill else {})
    error = refused({**MIN, **more})
    assert "needs a trained model, and model.name is 'seed_cnn'" in str(error)
    assert '"file:PATH.keras"' in error.fix
    assert Recipe.parse({**MIN, **more, "model": {"name": "file:a.keras"}}).steps == tuple(steps)


@pytest.mark.parametrize("step", ["prune", "qat", "distill"])
def test_no_step_undoes_clustering(step: str) -> None:
    table = {"distill": {"teacher": "file:t.keras"}} if step == "distill" else {}
    error = refused({**MIN, "steps": ["train", "cluster", step], **table})
    assert f'step "{step}" after "cluster" would break up the shared values' in str(error)
    assert error.fix == 'put "cluster" last in steps'


@pytest.mark.parametrize("key", ["repair", "float_layers"])
def test_a_list_that_names_one_twice(key: str) -> None:
    error = refused(with_value(("quantize", key), ["qat", "qat"]))
    assert f"quantize.{key} names one of them twice" in str(error)


def test_repair_is_for_int8_only() -> None:
    error = refused({**MIN, "quantize": {"mode": "float16"}, "qat": {"epochs": 4}})
    assert "[qat] is not used" in str(error)


def test_training_comes_first() -> None:
    more = {"steps": ["distill", "train"], "distill": {"teacher": "recipe:digits_seed"}}
    error = refused({**MIN, **more})
    assert "comes after 'distill'" in str(error) and 'put "train" first' in error.fix


@pytest.mark.parametrize(
    ("change", "says", "fix"),
    [
        ({"task": "sequence"}, 'does not go with task "sequence"', 'set task = "classify"'),
        ({"data": {"source": "csv:a.csv"}}, 'with task "classify"', 'set task = "sequence"'),
        ({"data": {"source": "video:a"}}, 'with task "classify"', 'set task = "sequence"'),
        ({"model": {"name": "features"}}, "does not go with data.source", "for csv:"),
        ({**GESTURES, "model": {"name": "seed_cnn"}}, "does not go with data.source", '"features"'),
        ({**GESTURES, "input": {}}, "[input] does not apply", "remove [input]"),
        ({"sequence": {"frames": 3}}, "[sequence] does not apply", "remove [sequence]"),
        ({"steps": ["distill"]}, "distill.teacher is missing", '"recipe:NAME"'),
    ],
)
def test_data_task_and_model_go_together(change: dict[str, Any], says: str, fix: str) -> None:
    error = refused({**MIN, **change})
    assert says in str(error) and fix in error.fix


def test_distillation_trains_as_train_says() -> None:
    distill = {"steps": ["distill"], "distill": {"teacher": "recipe:digits_seed"}}
    slow = Recipe.parse({**MIN, **distill, "train": {"learning_rate": 0.0001}})
    assert slow.as_dict()["train"]["learning_rate"] == 0.0001
    assert slow.sha256 != Recipe.parse({**MIN, **distill}).sha256


@pytest.mark.parametrize("steps", [["train", "distill"], ["train", "distill", "prune"]])
def test_unpruned_teaches_only_behind_a_prune_step(steps: list[str]) -> None:
    distill = {"distill": {"teacher": "unpruned"}}
    error = refused({**MIN, **distill, "steps": steps})
    assert "no prune step comes before distill" in str(error)
    assert 'put "prune" before "distill"' in error.fix
    recipe = Recipe.parse({**MIN, **distill, "steps": ["train", "prune", "distill"]})
    assert recipe.distill.teacher == "unpruned"


def test_zeros_must_stay_to_the_end() -> None:
    prune = {"prune": {"unit": "weights"}, "distill": {"teacher": "unpruned"}}
    error = refused({**MIN, **prune, "steps": ["train", "prune", "distill"]})
    assert str(error).endswith('distill after prune.unit = "weights" trains the zeros away')
    assert error.fix == 'remove "distill", or set prune.unit = "channels"'


def test_only_channels_have_an_entropy() -> None:
    prune = {"steps": ["train", "prune"], "prune": {"unit": "weights", "rank": "entropy"}}
    error = refused({**MIN, **prune})
    assert "which ranks channels" in str(error) and 'prune.rank = "l1"' in error.fix


@pytest.mark.parametrize(("ratio", "fix"), [(0, "above 0"), (1, "below 1"), (1.5, "below 1")])
def test_a_ratio_is_between_none_and_all(ratio: float, fix: str) -> None:
    error = refused({**MIN, "steps": ["train", "prune"], "prune": {"ratio": ratio}})
    assert f"prune.ratio is {ratio}" in str(error) and fix in error.fix


def test_pruning_trains_as_train_says() -> None:
    """Also where a trained file is all that it starts from."""
    prune = {"steps": ["prune"], "model": {"name": "file:a.keras"}}
    recipe = Recipe.parse({**MIN, **prune, "train": {"learning_rate": 0.0001}})
    assert recipe.as_dict()["train"]["learning_rate"] == 0.0001


def test_features_have_neither_input_nor_preprocess() -> None:
    recipe = Recipe.parse({**MIN, **GESTURES})
    assert recipe.preprocess is None and "input" not in recipe.as_dict()
    assert recipe.cut == SequenceEntry(16, 4)
    assert Recipe.parse(recipe.as_dict()) == recipe


# --- mistakes ------------------------------------------------------------------------------------

# Each: the path, a value, what the error must say, what the fix must say.
MISTAKES = [
    (("trian",), {}, "unknown key trian", 'did you mean "train"?'),
    (("train", "epoch"), 3, "unknown key train.epoch", 'did you mean "epochs"?'),
    (("input", "colour"), "rgb", "unknown key input.colour", 'did you mean "color"?'),
    (("model", "options", "widht"), 1, "unknown key model.options.widht", '"width"'),
    (("folder",), "x", "unknown key folder", "known: name"),
    (("name",), 3, "name is 3, not a text", "write name as a text"),
    (("name",), "../x", "name is '../x'", "letters, digits"),
    (("name",), "", "name is ''", "letters, digits"),
    (("version",), "latest", "version is 'latest'", "1.0.0"),
    (("seed",), -1, "seed is -1", "at least 0"),
    (("seed",), 2**32, "seed is 4294967296", "at most"),
    (("steps",), ["train", "train"], "steps names a step twice", "each step once"),
    (("steps",), ["trian"], "steps[0] is 'trian'", 'did you mean "train"?'),
    (("steps",), "train", "steps is 'train', not a list", "a list"),
    (("data",), "digits", "data is 'digits', not a table", "a table"),
    (("data", "source"), 5, "data.source is 5, not a text", "a text"),
    (("data", "split"), [0.5, 0.5], "data.split", "a list of 3"),
    (("data", "split"), [0.5, 0.4, 0.2], "data.split is [0.5, 0.4, 0.2]", "add up to 1"),
    (("data", "split"), [1.0, 0.0, 0.0], "data.split is [1.0, 0.0, 0.0]", "above 0"),
    (("data", "split"), [1.2, -0.1, -0.1], "data.split is 1.2", "at most 1"),
    (("data", "labels"), ["a", "b", "a"], "data.labels names a class twice", "once"),
    (("data", "max_unreadable"), 1.5, "data.max_unreadable is 1.5", "at most 1"),
    (("data", "golden"), "none", "data.golden is 'none'", "test, synthetic"),
    (("input", "width"), 0, "input.width is 0", "at least 1"),
    (("input", "height"), 5000, "input.height is 5000", "at most 4096"),
    (("input", "width"), 96.0, "input.width is 96.0", "a whole number"),
    (("input", "mean"), [1.0, 2.0], "input.mean has 2 values for color 'rgb'", "one value, or 3"),
    (("input", "std"), [0.0], "input.std is 0", "above 0"),
    (("input", "std"), 255.0, "input.std is 255.0, not a list", "a list"),
    (("input", "mean"), [float("nan")], "input.mean[0] is nan", "finite"),
    (("train", "epochs"), 0, "train.epochs is 0", "at least 1"),
    (("train", "epochs"), True, "train.epochs is True", "a whole number"),
    (("train", "learning_rate"), 0, "train.learning_rate is 0", "above 0"),
    (("train", "learning_rate"), "0.1", "train.learning_rate is '0.1'", "a number"),
    (("train", "schedule"), "cosin", "train.schedule is 'cosin'", 'did you mean "cosine"?'),
    (("train", "epochs"), 10**9, "train.epochs is 1000000000", "at most"),
    (("train", "batch_size"), 10**30, "train.batch_size is 1000", "at most"),
    (("train", "patience"), -1, "train.patience is -1", "at least 0"),
    (("quantize", "mode"), "int9", "quantize.mode is 'int9'", '"int8"'),
    (("quantize", "calibration_samples"), 0, "calibration_samples is 0", "at least 1"),
    (("quantize", "repair"), ["prune"], "quantize.repair[0] is 'prune'", "calibration"),
    (("budget", "accuracy_loss"), -0.1, "budget.accuracy_loss is -0.1", "at least 0"),
    (("budget", "bytes"), 1.5, "budget.bytes is 1.5", "a whole number"),
    (("budget", "latency_ms"), 0, "budget.latency_ms is 0", "above 0"),
]


@pytest.mark.parametrize(("path", "value", "says", "fix"), MISTAKES)
def test_a_mistake_is_named_by_its_path(path: KeyPath, value: Any, says: str, fix: str) -> None:
    error = refused(with_value(path, value))
    assert str(error).startswith("recipe.toml: ") and says in str(error)
    assert fix in error.fix


@pytest.mark.parametrize("missing", ["name", "data", "model"])
def test_what_is_required_is_named(missing: str) -> None:
    error = refused({key: value for key, value in MIN.items() if key != missing})
    assert f"{missing} is missing" in str(error)


def test_an_unused_step_table_says_how_to_use_it() -> None:
    error = refused({**MIN, "prune": {"ratio": 0.5}})
    assert str(error) == "recipe.toml: [prune] is not used"
    assert error.fix.startswith('add "prune" to steps')


def test_a_table_that_repair_names_is_used() -> None:
    assert Recipe.parse({**MIN, "qat": {}}) == Recipe.parse(MIN)
    error = refused({**MIN, "qat": {}, "quantize": {"repair": []}})
    assert "[qat] is not used" in str(error)


@pytest.mark.parametrize("mode", ["float32", "float16", "dynamic"])
def test_only_int8_has_integer_io(mode: str) -> None:
    assert Recipe.parse({**MIN, "quantize": {"mode": mode}}).quantize.io == "float32"
    Recipe.parse({**MIN, "quantize": {"mode": mode, "io": "float32"}})
    for io in ("int8", "uint8"):
        error = refused({**MIN, "quantize": {"mode": mode, "io": io}})
        assert f"quantize.io is '{io}'" in str(error) and mode in str(error)


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_int8_takes_every_io(io: str) -> None:
    assert Recipe.parse({**MIN, "quantize": {"io": io}}).quantize.io == io


# --- files ---------------------------------------------------------------------------------------

MIN_TOML = 'name = "doors"\n[data]\nsource = "folder:images"\n[model]\nname = "seed_cnn"\n'


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "recipe.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name = ", "recipe.toml: Invalid value"),
        ("name = 'a'\nname = 'b'", "Cannot overwrite"),
        (b"name = '\xff'", "is not UTF-8"),
        ("x = " + "[" * 100_000, "recursion"),
        ("x = " + "9" * 100_000, "digits"),
        ("", "name is missing"),
    ],
    ids=["syntax", "twice", "latin-1", "brackets", "digits", "empty"],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.load(write(tmp_path, content))
    assert says in str(caught.value) and "recipe.toml" in str(caught.value)
    assert caught.value.fix


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.toml does not exist"):
        Recipe.load(tmp_path / "nowhere.toml")
    with pytest.raises(FileError, match="is a folder, not a recipe"):
        Recipe.load(tmp_path)


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    assert Recipe.load(write(tmp_path, b"\xef\xbb\xbf" + MIN_TOML.encode())).name == "doors"


def test_built_in_recipes_load() -> None:
    assert "digits_seed" in builtin_recipes()
    for name in builtin_recipes():
        recipe = Recipe.load(f"recipe:{name}")
        assert recipe.folder == Path.cwd()
    assert Recipe.load("recipe:digits_seed").name == "digits"


def test_an_unknown_built_in_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.load("recipe:digit_seed")
    assert 'did you mean "digits_seed"?' in caught.value.fix


def test_inspect_shows_the_recipe_with_its_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, MIN_TOML)
    document = inspect(path)
    assert document["kind"] == "recipe" and document["sha256"] == Recipe.load(path).sha256
    assert document["recipe"]["train"] == as_dict(Recipe.load(path).train)


# --- overrides -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.epochs=5", "train.epochs", 5),
        ("train.learning_rate = 1e-3", "train.learning_rate", 0.001),
        ("data.source=folder:my images", "data.source", "folder:my images"),
        ('name="doors"', "name", "doors"),
        ("name=doors", "name", "doors"),
        ("data.labels=['b', 'a']", "data.labels", ["b", "a"]),
        ("data.source=a=b", "data.source", "a=b"),
        ("x=" + "[" * 100_000, "x", "[" * 100_000),
        ("x=" + "9" * 100_000, "x", "9" * 100_000),
        ("x=", "x", ""),
    ],
)
def test_a_setting_is_toml_or_else_text(text: str, key: str, value: Any) -> None:
    assert parse_setting(text) == (key, value)
    assert type(parse_setting(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["train.epochs", "=5", " = 5", ""])
def test_a_setting_without_key_or_value(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_setting(text)
    assert "--set" in str(caught.value) and "train.epochs=5" in caught.value.fix


def test_overrides_are_checked_like_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, MIN_TOML)
    recipe = Recipe.load(path, {"train.epochs": 5, "budget.bytes": 10, "input.width": 32})
    assert (recipe.train.epochs, recipe.budget.bytes, recipe.input.width) == (5, 10, 32)
    for key, value, says in (
        ("train.epochs", "five", "train.epochs is 'five', not a whole number"),
        ("train.epoch", 5, "unknown key train.epoch"),
        ("name.first", "x", "name is not a table"),
        ("train", 5, "train is 5, not a table"),
        ("", 5, "unknown key"),
    ):
        with pytest.raises(ConfigError) as caught:
            Recipe.load(path, {key: value})
        assert says in str(caught.value)


def test_paths_start_from_the_recipe_or_where_set_was_typed(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    path = write(tmp_path, MIN_TOML)
    loaded = Recipe.load(path)
    assert loaded.folder == tmp_path
    changed = dataclasses.replace(loaded, version="2.0.0")
    assert (changed.folder, changed.version) == (tmp_path, "2.0.0")
    assert Recipe.load(path).data.source == "folder:images"
    with contextlib.chdir(tmp_path / "here"):
        for given in ("folder:images", "images", "./images", f"{tmp_path}/here/images"):
            recipe = Recipe.load(path, {"data.source": given})
            assert recipe.data.source == f"folder:{tmp_path / 'here' / 'images'}"
        for given in ("digits", "keras:mnist"):
            assert Recipe.load(path, {"data.source": given}).data.source == given
        with pytest.raises(ConfigError, match="unknown data source 'floder:images'"):
            Recipe.load(path, {"data.source": "floder:images"})


# --- meaning -------------------------------------------------------------------------------------


def test_the_hash_is_of_values_not_of_layout(tmp_path: Path) -> None:
    other = "# doors\nmodel = {name='seed_cnn'}\ndata.source = 'folder:images'\nname='doors'\n"
    (tmp_path / "elsewhere").mkdir()
    first = Recipe.load(write(tmp_path, MIN_TOML))
    second = Recipe.load(write(tmp_path / "elsewhere", other))
    assert first == second and first.sha256 == second.sha256
    whole = Recipe.load(write(tmp_path, MIN_TOML + "[train]\nlearning_rate = 1\n"))
    same = Recipe.load(write(tmp_path, MIN_TOML + "[train]\nlearning_rate = 1.0\n"))
    assert whole.sha256 == same.sha256


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), "windows"),
        (("version",), "1.0.1"),
        (("seed",), 1),
        (("data", "split"), [0.6, 0.2, 0.2]),
        (("data", "labels"), ["b", "a"]),
        (("input", "mean"), [0.0]),
        (("train", "epochs"), 31),
        (("quantize", "io"), "uint8"),
        (("budget", "bytes"), 1000),
        (("target", "board"), "rpi4"),
    ],
)
def test_the_hash_changes_with_any_value(path: KeyPath, value: Any) -> None:
    assert Recipe.parse(with_value(path, value)).sha256 != Recipe.parse(MIN).sha256


NAMES = st.sampled_from(sorted({part for path, _ in fields() for part in path} | {"x", ""}))
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()),
    st.sampled_from(["train", "int8", "rgb", "folder:x", "linear"]),
)
KEYS = NAMES | st.text(max_size=4)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JUNK, max_size=8), st.booleans())
def test_junk_is_refused_in_our_own_words(junk: dict[str, Any], complete: bool) -> None:
    try:
        recipe = Recipe.parse({**MIN, **junk} if complete else junk)
    except (ConfigError, NotAvailableYet) as error:
        assert str(error) and error.fix
    else:
        assert Recipe.parse(recipe.as_dict()) == recipe


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_junk_files_are_refused_in_our_own_words(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_bytes(junk)
    with pytest.raises((ConfigError, FileError)) as caught:
        Recipe.load(path)
    assert caught.value.fix


SHARES = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100)
RECIPES = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "data": st.fixed_dictionaries(
            {"source": st.text(min_size=1, max_size=20)},
            optional={
                "split": SHARES.map(lambda p: [(100 - sum(p)) / 100, p[0] / 100, p[1] / 100]),
                "labels": st.lists(st.text(max_size=6), unique=True, max_size=5),
                "max_unreadable": st.floats(0, 1),
                "golden": st.sampled_from(["test", "synthetic"]),
            },
        ),
        "model": st.fixed_dictionaries({"name": st.text(max_size=12)}),
    },
    optional={
        "version": st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}", fullmatch=True),
        "seed": st.integers(0, 2**32 - 1),
        "input": st.fixed_dictionaries(
            {},
            optional={
                "width": st.integers(1, 4096),
                "height": st.integers(1, 4096),
                "color": st.sampled_from(["rgb", "bgr", "gray"]),
                "mean": st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=1),
                "std": st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=1),
            },
        ),
        "train": st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(1, 100_000),
                "learning_rate": st.floats(1e-9, 1e9) | st.integers(1, 100),
                "schedule": st.sampled_from(["constant", "cosine"]),
            },
        ),
        "quantize": st.one_of(
            st.fixed_dictionaries({"mode": st.sampled_from(["float32", "float16", "dynamic"])}),
            st.fixed_dictionaries({"io": st.sampled_from(["int8", "uint8", "float32"])}),
            st.just({"repair": []}),
        ),
        "budget": st.fixed_dictionaries(
            {}, optional={"bytes": st.integers(1), "latency_ms": st.floats(0.001, 1e6)}
        ),
    },
)


@given(RECIPES)
def test_what_was_read_is_read_back(data: dict[str, Any]) -> None:
    recipe = Recipe.parse(data)
    assert Recipe.parse(recipe.as_dict()) == recipe
    assert Recipe.parse(recipe.as_dict()).sha256 == recipe.sha256
