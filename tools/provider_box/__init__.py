"""The batch interfaces of three providers, beside the calls that the box in the wheel answers.

``JobBox.jobs`` says how long a job takes and what goes wrong with it, and ``advance`` ends it. ``EchoBox`` records what
it receives and answers by a table.
"""

from provider_box.box import JobBox
from provider_box.echo import EchoBox, EchoReply, EchoRequest
from provider_box.jobs import BoxJob, JobBoard, SubmitFault

__all__ = ["BoxJob", "EchoBox", "EchoReply", "EchoRequest", "JobBoard", "JobBox", "SubmitFault"]
