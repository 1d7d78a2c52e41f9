"""What the app knows, without widgets: recipe history, results, jobs and deployed versions."""

from workbench.session.history import History
from workbench.session.jobs import Jobs
from workbench.session.log import Log
from workbench.session.notifier import Notifier
from workbench.session.results import Results
from workbench.session.session import Session
from workbench.session.status import (
    PARTIAL,
    STEPS,
    JobProgress,
    State,
    Status,
    Step,
    describe_images,
)
from workbench.session.store import DeployedVersions

__all__ = [
    "PARTIAL", "STEPS", "DeployedVersions", "History", "JobProgress", "Jobs", "Log", "Notifier",
    "Results", "Session", "State", "Status", "Step", "describe_images",
]  # fmt: skip
