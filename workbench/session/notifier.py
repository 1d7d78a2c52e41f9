"""Who wants to know of what: the one kind of notification between session and panels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

Topic = Literal[
    "recipe", "status", "progress", "preview", "images", "counts", "mask", "search", "alignment",
    "versions", "peaks", "frames", "log",
]  # fmt: skip
"""``search``: new offsets from the images; ``alignment``: those, or a decision about them;
``peaks``: those of all events of a run were counted."""


class Notifier:
    """Listeners by topic. They are called on the thread on which something changed.

    Attributes
    ----------
    on_failure : called as ``on_failure(topic, error)`` if a listener fails; the others are called
        all the same.
    """

    def __init__(self) -> None:
        self._listeners: dict[Topic, list[Callable[[], None]]] = {t: [] for t in get_args(Topic)}
        self.on_failure: Callable[[str, Exception], object] = lambda topic, error: None

    def subscribe(self, topic: Topic, listener: Callable[[], None]) -> None:
        """Call ``listener()`` whenever `topic` changes."""
        self._listeners[topic].append(listener)

    def notify(self, *topics: Topic) -> None:
        """Call the listeners of each topic."""
        for topic in topics:
            for listener in list(self._listeners[topic]):
                try:
                    listener()
                except Exception as error:
                    if topic == "log":  # it would fail again on the entry about its failure
                        self._listeners[topic].remove(listener)
                    self.on_failure(topic, error)
