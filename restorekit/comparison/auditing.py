"""Whether the inputs of a comparison are what their label says: an audit of each, for the report."""

from restorekit.comparison.subjects import Subject
from restorekit.core.degradation.chain import Mixture, parse_degradation
from restorekit.diagnosis import audit
from restorekit.errors import ImageError
from restorekit.report.record import InputAudit

__all__ = ["audit_subject", "checked_label"]


def checked_label(label: str | None) -> str | None:
    """The label, or None for a mixture: nothing then says what a single photo should hold.

    Raises:
        SpecError: it cannot be read.
    """
    if label is None or isinstance(parse_degradation(label), Mixture):
        return None
    return label


def audit_subject(subject: Subject, region: tuple[slice, slice], label: str) -> InputAudit | None:
    """What the measured region really holds; None for photos too small to tell."""
    clean = None if subject.clean is None else subject.clean[region]
    try:
        found = audit(subject.degraded[region], clean, label)
    except ImageError:
        return None
    return InputAudit(image=subject.name, label=label, **vars(found))
