"""Typed settings: every mistake is named by its path, and what was written is read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.configuration import as_dict, limits, nearest, parse
from edge_sdk.errors import ConfigError


@dataclass(frozen=True)
class Resize:
    method: Literal["linear", "area"] = "linear"
    width: int = field(default=96, metadata=limits(ge=1, le=4096))
    share: float = field(default=0.5, metadata=limits(gt=0, lt=1))
    std: tuple[float, ...] = field(default=(1.0,), metadata=limits(gt=0))


@dataclass(frozen=True)
class Recipe:
    name: str
    resize: Resize = Resize()
    pairs: tuple[tuple[str, str], ...] = ()
    point: tuple[float, float] = (0.0, 0.0)
    steps: dict[str, Resize] = field(default_factory=dict)
    limit: int | None = None
    shuffle: bool = True
    options: Any = None


def refused(data: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(Recipe, data, where="recipe.toml")
    return caught.value


# Each: the document, what the error must say, what the fix must say.
MISTAKES = [
    ({"name": "a", "resise": {}}, "unknown key resise", 'did you mean "resize"?'),
    ({"name": "a", "resize": {"widht": 1}}, "unknown key resize.widht", '"width"'),
    ({"name": "a", "zzz": 1}, "unknown key zzz", "known: name, resize"),
    ({}, "name is missing", "add name"),
    ({"name": 3}, "name is 3, not a text", "write name as a text"),
    ({"name": None}, "name is None", "a text"),
    ({"name": "a", "resize": 3}, "resize is 3, not a table", "as a table"),
    ({"name": "a", "resize": {"method": "cubic"}}, "resize.method is 'cubic'", "linear, area"),
    ({"name": "a", "resize": {"method": "liner"}}, "resize.method", 'did you mean "linear"'),
    ({"name": "a", "resize": {"method": ["linear"]}}, "resize.method is ['linear']", "linear"),
    ({"name": "a", "resize": {"width": 1.5}}, "resize.width is 1.5", "a whole number"),
    ({"name": "a", "resize": {"width": True}}, "resize.width is True", "a whole number"),
    ({"name": "a", "resize": {"width": 0}}, "resize.width is 0", "at least 1 and at most 4096"),
    ({"name": "a", "resize": {"width": 4097}}, "resize.width is 4097", "at most 4096"),
    ({"name": "a", "resize": {"width": -(10**999)}}, "resize.width is -10", "at least 1"),
    ({"name": "a", "resize": {"share": 0}}, "resize.share is 0", "above 0 and below 1"),
    ({"name": "a", "resize": {"share": 1.0}}, "resize.share is 1", "below 1"),
    ({"name": "a", "resize": {"share": float("nan")}}, "resize.share is nan", "a finite number"),
    ({"name": "a", "resize": {"share": 10**999}}, "resize.share is 10", "a finite number"),
    ({"name": "a", "resize": {"share": "0.5"}}, "resize.share is '0.5'", "a number"),
    ({"name": "a", "resize": {"std": 1.0}}, "resize.std is 1.0, not a list", "a list"),
    ({"name": "a", "resize": {"std": [1.0, 0.0]}}, "resize.std is 0", "above 0"),
    ({"name": "a", "resize": {"std": [1.0, "x"]}}, "resize.std[1] is 'x'", "a number"),
    ({"name": "a", "pairs": [["x", "y"], ["z"]]}, "pairs[1] is ['z']", "a list of 2"),
    ({"name": "a", "point": [1]}, "point is [1]", "a list of 2"),
    ({"name": "a", "steps": []}, "steps is [], not a table", "a table"),
    ({"name": "a", "steps": {"qat": {"width": "w"}}}, "steps.qat.width is 'w'", "whole number"),
    ({"name": "a", "limit": "none"}, "limit is 'none'", "a whole number"),
    ({"name": "a", "shuffle": 1}, "shuffle is 1", "true or false"),
    ([1], "the document is [1], not a table", "a table"),
]


@pytest.mark.parametrize(("data", "says", "fix"), MISTAKES)
def test_a_mistake_is_named_by_its_path(data: Any, says: str, fix: str) -> None:
    error = refused(data)
    assert str(error).startswith("recipe.toml: ")
    assert says in str(error)
    assert fix in error.fix


def test_defaults_are_filled_in_and_whole_numbers_may_stand_for_floats() -> None:
    read = parse(Recipe, {"name": "a", "resize": {"std": [2]}}, where="x")
    assert read == Recipe("a", Resize(std=(2.0,)))
    assert isinstance(read.resize.std[0], float)


def test_a_table_inside_a_document_is_named_in_full() -> None:
    with pytest.raises(ConfigError, match=r"x: augment\.width is 'w'"):
        parse(Resize, {"width": "w"}, where="x", path="augment")


@pytest.mark.parametrize("depth", [500, 50_000])
@pytest.mark.parametrize("key", ["name", "pairs", "resize"])
def test_values_nested_beyond_reason_are_only_a_mistake(key: str, depth: int) -> None:
    nested: Any = []
    for _ in range(depth):
        nested = [nested]
    refused({"name": "a", key: nested})
    refused({"name": "a", "resize": {"method": nested}})


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(str(refused({"name": "a", "resize": "x" * 10_000}))) < 200


def test_nearest_lists_what_is_known_when_nothing_is_near() -> None:
    assert nearest("x", ["linear", "area"]) == "known: linear, area"


finite = st.floats(allow_nan=False, allow_infinity=False)
resizes = st.builds(
    Resize,
    st.sampled_from(["linear", "area"]),
    st.integers(1, 4096),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.lists(finite.filter(lambda x: x > 0)).map(tuple),
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
recipes = st.builds(
    Recipe,
    st.text(),
    resizes,
    st.lists(st.tuples(st.text(), st.text())).map(tuple),
    st.tuples(finite, finite),
    st.dictionaries(st.text(), resizes),
    st.none() | st.integers(),
    st.booleans(),
    st.none() | st.text(),
)


@given(recipes)
def test_what_is_written_is_read_back(recipe: Recipe) -> None:
    assert parse(Recipe, as_dict(recipe), where="x") == recipe
    assert parse(Recipe, json.loads(json.dumps(as_dict(recipe))), where="x") == recipe


@given(
    st.dictionaries(
        st.sampled_from([*Recipe.__dataclass_fields__, "other"]),
        junk | st.dictionaries(st.sampled_from([*Resize.__dataclass_fields__]), junk),
    )
    | junk
)
def test_junk_is_a_config_error_or_valid(data: Any) -> None:
    try:
        recipe = parse(Recipe, data, where="x")
    except ConfigError as error:
        assert str(error)
        assert error.fix
    else:
        assert parse(Recipe, as_dict(recipe), where="x") == recipe
