"""The JSON documents that commands print and write: a TypedDict module for each kind.

Every document is one JSON object with `schema` = "edge-sdk/KIND/1" (docs/contracts.md lists them
all). Durations are in ms unless the name says otherwise; sizes in bytes; shares and scores 0..1;
values are not rounded. These modules hold types alone: import them under TYPE_CHECKING.

Their annotations are evaluated, not deferred, because `NotRequired` is only seen at run time so.
"""
