"""The grammar that cameras, sinks and meters share, on a table of its own; and passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.specs import Kind, flag, masked, one_of, read_spec, show, whole, write_spec

KINDS = {
    "lamp": Kind("lamps", "a lamp", "PIN", ("level", "on")),
    "usb": Kind("usb", "the first, or one by its number", "[0]", ("level",)),
    "shelf": Kind("shelf", "no address, no parameters"),
    "web": Kind("web", "something elsewhere", "//HOST/PATH", ("level",)),
}
PARAMETERS = {
    "level": whole("level", 5, max=10, unit="steps"),
    "on": flag("on"),
    "side": one_of("side", {"left": -1, "right": 1}),
}


def test_what_a_spec_says() -> None:
    spec = read_spec("lamp:a b%20?c?level=7&on=1", KINDS, PARAMETERS, of="lamp")
    assert (spec.kind, spec.address) == ("lamp", "a b%20?c")
    assert spec.values == {"level": 7, "on": True}
    assert read_spec("usb", KINDS, PARAMETERS, of="lamp").address == ""
    web = read_spec("web://h/p?x=1#level=2", KINDS, PARAMETERS, of="lamp")
    assert (web.address, web.values) == ("web://h/p?x=1", {"level": 2})


@pytest.mark.parametrize(
    ("text", "says", "fix"),
    [
        ("lmp:x", "unknown lamp 'lmp:x'", 'did you mean "lamp"'),
        ("lamp", "does not say which lamp", "write lamp:PIN"),
        ("shelf:x", "shelf takes no address", "write shelf"),
        ("shelf?level=1", "unknown parameter 'level'", "takes no parameters"),
        ("usb:1?on=1", "unknown parameter 'on'", "known: level"),
        ("lamp:x?level=11", "level is '11'", "level=5 (1 to 10 steps)"),
        ("lamp:x?on=yes", "on is 'yes'", "on=1 or on=0"),
        ("web:h", "is not a valid URL", "write web://HOST/PATH"),
    ],
)
def test_what_is_said_about_a_wrong_one(text: str, says: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_spec(text, KINDS, PARAMETERS, of="lamp")
    assert says in str(caught.value)
    assert fix in caught.value.fix


def test_one_of_names_its_choices() -> None:
    assert PARAMETERS["side"].read("left") == -1
    assert PARAMETERS["side"].usage == "side=left or right"


@given(st.text(min_size=1))
def test_any_address_can_be_written(address: str) -> None:
    spec = read_spec(write_spec("lamp", address), KINDS, PARAMETERS, of="lamp")
    assert (spec.address, spec.values) == (address, {})


SECRET = "Zq7w"
PASSWORDS = st.lists(
    st.text("#@/?:&=\\ %'\"\n;_", max_size=3) | st.sampled_from(["#level=", "://", "&on=", "é"]),
    max_size=5,
).map(lambda parts: SECRET + "".join(part + SECRET for part in parts))
"""Every piece of them, wherever they are cut, is SECRET or punctuation."""

FORMS = [
    *("web://eye:{}@h/s", "web://eye:{}@h/s#level=2", "web://eye:{}@h/s#lvel=2", "web://:{}@h"),
    *("web://eye:{}@h/s#level=99", "web://eye:{}@h/s#level=1&level=1", "web://e/y@e:{}@h:554/s"),
    *("web:/eye:{}@h", "web:eye:{}@h", "webs://eye:{}@h/s", "wbe:/eye:{}@h", "eye:{}@h/s"),
    *("web//eye:{}@h", "web:\\\\eye:{}@h", "WEB://eye:{}@h", "web://h/s?password={}@h"),
]


@given(PASSWORDS, st.sampled_from(FORMS))
def test_nothing_of_a_password_before_the_last_at_sign_is_shown(password: str, form: str) -> None:
    text = form.format(password)
    shown = [show(text, KINDS)]
    if "://" in form:
        shown.append(masked(f"cannot open {text!r}: refused"))
    try:
        spec = read_spec(text, KINDS, PARAMETERS, of="lamp")
    except ConfigError as error:
        shown += [str(error), error.fix]
    else:
        shown += [spec.text, repr(spec)]
    assert SECRET not in "".join(shown)
