"""The training of several models' networks on one device, for backends that plan it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from counterbias import Resources
from counterbias_backends.progress import Steps
from counterbias_torch.data import Form
from counterbias_torch.devices import choose_device, device_name
from counterbias_torch.fitting import Pupil, Schooling, Trained, planned_steps, train_pupils
from counterbias_torch.reporting import remarks_of


@dataclass
class Session:
    """Networks that are trained on one device.

    Args:
        device: where.
        resources: threads, and what progress is reported to.

    Attributes:
        remarks: what the user should know of the training, one line each.
    """

    device: torch.device
    resources: Resources
    remarks: set[str] = field(default_factory=set)

    @classmethod
    def on(cls, device: torch.device | None, resources: Resources) -> Session:
        """Begin on a device, by default the one that the resources ask for.

        Raises InputError where they ask for a GPU and there is none.
        """
        return cls(choose_device(resources.device) if device is None else device, resources)

    def schooling(self, takes: str, form: Form) -> Schooling:
        """Return how networks are trained here; :meth:`train` adds the progress."""
        return Schooling(takes, form, self.device, self.resources.threads, _ignore)

    def train(
        self, stage: str, classes: Sequence[tuple[Sequence[Pupil], Schooling]]
    ) -> list[list[Trained]]:
        """Train networks, one architecture after the other; return how, in their order.

        Args:
            stage: what progress is reported as, such as ``training cnn``.
            classes: networks of one architecture each, and how they are trained.
        """
        progress = Steps(self.resources, stage, sum(planned_steps(*one) for one in classes))
        try:
            trained = [
                train_pupils(pupils, replace(schooling, advance=progress.advance))
                for pupils, schooling in classes
            ]
        finally:
            progress.finish()
        for one in trained:
            self.remarks.update(remarks_of(one))
        return trained

    def details(self) -> dict[str, object]:
        """Return what a report says of the device."""
        found: dict[str, object] = {"device": device_name(self.device)}
        return {**found, "remarks": sorted(self.remarks)} if self.remarks else found


def _ignore(steps: int) -> None:
    """Take no notice of steps."""
