"""What to do next: one sentence for each step of the calibration, by its state."""

from __future__ import annotations

from workbench.session import Session, State, Step

ADVICE: dict[Step, dict[State, str]] = {
    "images": {
        State.NOT_STARTED: "Choose a dark run and a bright run, then compute the averages.",
        State.RUNNING: "The runs are being averaged; the images show what there is so far.",
        State.PARTIAL: "Averaging was cancelled; compute the averages again to use all events.",
        State.STALE: "Runs or settings changed; compute the averages again.",
        State.WARNING: "Read the warnings below the table, then go on to the mask.",
        State.DONE: "Check the images, then go on to the mask.",
    },
    "mask": {
        State.NOT_STARTED: "Average a dark and a bright run first, or open the images.",
        State.RUNNING: "The mask is being made.",
        State.STALE: "The images are older than the settings; average the runs again in step 1.",
        State.DEFAULT: "This is the mask of the default thresholds; look at it.",
        State.LOOKED_AT: (
            "Move each threshold until the mask removes bad pixels and nothing else, or keep the "
            "defaults and go on to the {groups}."
        ),
        State.WARNING: "Read the warnings; change the thresholds, or go on to the {groups}.",
        State.DONE: "Check what each rule removes, then go on to the {groups}.",
    },
    "alignment": {
        State.NOT_STARTED: "Find the offsets of the {groups}.",
        State.RUNNING: "The offsets are being searched.",
        State.STALE: "Images, mask or settings changed; find the offsets again.",
        State.WARNING: "Read the warnings and compare before and after; then deploy.",
        State.DONE: "Compare before and after; the rings should be sharper. Then deploy.",
    },
    "geometry": {
        State.NOT_STARTED: "Deploy the corrected geometry; you see first what will be written.",
        State.STALE: "The offsets changed after the deployment; deploy again to use them.",
        State.DONE: "psana reads the corrected geometry. Write the report, or go on to the frames.",
    },
    "frames": {
        State.NOT_STARTED: (
            "Choose a run, set the threshold on its events, and write the hits as frames."
        ),
        State.RUNNING: "The frames are being written.",
        State.PARTIAL: "Writing was cancelled; “Resume” goes on where it stopped.",
        State.STALE: "Mask, geometry or settings changed after the frames were written.",
        State.WARNING: "Read the warnings below the files.",
        State.DONE: "The frames are written; DIALS or CrystFEL read them.",
    },
}
"""``{groups}`` stands for what the detector's groups are called."""
FAILED = "It failed; the reason is below."


def advice(session: Session, step: Step) -> str:
    """One sentence: what to do next in a step."""
    state = session.results.shown_state(step)
    if state == State.FAILED:
        return FAILED
    images = session.images
    has_rings = images is not None and (images.bright_average or images.maximum)
    if step == "alignment" and state == State.NOT_STARTED and not has_rings:
        return "Average a bright run first, or open the maximum of one."
    if step == "mask" and state == State.NOT_STARTED and images is not None:
        return session.results.why_no_mask()
    experiment = session.recipe.experiment
    if step == "images" and state == State.NOT_STARTED and experiment.dark and experiment.bright:
        return "Compute the averages of the chosen runs."
    if step == "frames" and state == State.NOT_STARTED and (reason := session.frames.why_not()):
        return reason
    if step == "geometry" and state != State.DONE and (reason := session.store.why_not()):
        return reason
    return ADVICE[step].get(state, "").format(groups=f"{session.aligned_detector.group_word}s")


def why_not_next(session: Session, step: Step) -> str:
    """Why the next step cannot be begun yet; empty if it can."""
    if step == "geometry":  # frames can be written before it is deployed
        return ""
    state = session.results.shown_state(step)
    if step == "mask" and session.images is not None and session.results.why_no_mask():
        return ""  # quadrants are aligned without it
    if state in (State.DONE, State.DEFAULT, State.LOOKED_AT, State.WARNING):
        return ""
    return f"First finish this step: {advice(session, step)}"
