"""What the app knows: the recipe with its history, results, jobs and the version store."""

from workbench.session.session import Session
from workbench.session.status import PARTIAL, STEPS, Moment, State, Status, describe_images

__all__ = ["PARTIAL", "STEPS", "Moment", "Session", "State", "Status", "describe_images"]
