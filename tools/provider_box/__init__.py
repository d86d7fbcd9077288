"""The batch interfaces of three providers, beside the calls that the box in the wheel answers.

``JobBox.jobs`` says how long a job takes and what goes wrong with it, and ``advance`` ends it.
"""

from provider_box.box import JobBox
from provider_box.jobs import BoxJob, JobBoard, SubmitFault

__all__ = ["BoxJob", "JobBoard", "JobBox", "SubmitFault"]
